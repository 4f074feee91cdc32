"""The life of a case, pure: a command looks at it and returns events, ``apply`` folds an event into it.

    OPEN ──claim──> CLAIMED ──respond──> RESPONDED <──wait/resume──> WAITING
      └────────────── resolve / dismiss from any of these ──────────────> RESOLVED, DISMISSED
    RESOLVED, DISMISSED ──reopen──> OPEN in a new cycle (the old cycle's clocks stay in its events)

The events are the truth and are only ever appended; the ``Case`` is what they amount to, stored beside them.
"""

from listener.cases.alarms import Alarm, alarms, next_alarm_at, sound
from listener.cases.case import CASE, Case, Clock, apply, replay
from listener.cases.commands import (
    assign,
    claim,
    dismiss,
    note,
    release,
    reopen,
    resolve,
    respond,
    resume,
    snooze,
    wait,
)
from listener.cases.events import (
    EVENT,
    Alarmed,
    Assigned,
    Claimed,
    Dismissed,
    Event,
    Joined,
    MentionChanged,
    Noted,
    Opened,
    PolicyReapplied,
    PromiseEnded,
    Recovered,
    Released,
    Reopened,
    Resolved,
    Responded,
    Resumed,
    Snoozed,
    Verified,
    Waited,
)

__all__ = [
    "CASE",
    "EVENT",
    "Alarm",
    "Alarmed",
    "Assigned",
    "Case",
    "Claimed",
    "Clock",
    "Dismissed",
    "Event",
    "Joined",
    "MentionChanged",
    "Noted",
    "Opened",
    "PolicyReapplied",
    "PromiseEnded",
    "Recovered",
    "Released",
    "Reopened",
    "Resolved",
    "Responded",
    "Resumed",
    "Snoozed",
    "Verified",
    "Waited",
    "alarms",
    "apply",
    "assign",
    "claim",
    "dismiss",
    "next_alarm_at",
    "note",
    "release",
    "reopen",
    "replay",
    "resolve",
    "respond",
    "resume",
    "snooze",
    "sound",
    "wait",
]
