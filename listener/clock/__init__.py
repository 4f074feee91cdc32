"""When things are due. Pure: the time now is always an argument.

A ``Calendar`` says when the team works; a ``Policy`` says how soon a customer gets an answer and who is
called when; ``alarm_points`` puts the two together.
"""

from listener.clock.policy import (
    DEFAULT_STEPS,
    AlarmPoint,
    Policy,
    Step,
    StepKind,
    alarm_points,
    starts_at,
)
from listener.clock.worktime import (
    Calendar,
    Window,
    duration_text,
    local_instant,
    parse_closed_day,
    parse_duration,
    parse_open_day,
    span,
    time_zone,
)

__all__ = [
    "DEFAULT_STEPS",
    "AlarmPoint",
    "Calendar",
    "Policy",
    "Step",
    "StepKind",
    "Window",
    "alarm_points",
    "duration_text",
    "local_instant",
    "parse_closed_day",
    "parse_duration",
    "parse_open_day",
    "span",
    "starts_at",
    "time_zone",
]
