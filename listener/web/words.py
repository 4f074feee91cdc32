"""The words on the pages: states, clocks, alarms and events, as people say them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from listener import cases
from listener.model import ClockView, State

STATES = {
    State.OPEN: "Nobody is on it",
    State.CLAIMED: "Claimed",
    State.RESPONDED: "Answered",
    State.WAITING: "Waiting for the customer",
    State.RESOLVED: "Resolved",
    State.DISMISSED: "Not a complaint",
    State.MERGED: "Merged",
}
CLOCKS = {
    "first_response": "First answer",
    "next_response": "Next answer",
    "resolution": "Resolution",
}
SEVERITIES = {"low": "low", "medium": "medium", "high": "high", "critical": "critical"}
COMPLAINTS = {"complaint": "complaint", "check": "please check", "not": "no complaint"}
BAD_EXPERIENCES = {
    "complaint": "A complaint",
    "reopening": "It was not solved the first time",
    "promise": "A broken promise",
    "history": "A complaint before Listener was there",
}
DELIVERIES = {
    "pending": "on its way",
    "accepted": "delivered",
    "superseded": "told in another message",
    "parked": "could not be delivered",
}
SOURCES = {
    "active": "listening",
    "paused": "paused",
    "off": "paused in the configuration",
    "stopped": "stopped",
    "parked": "parked after an error",
}
ALARMS = {
    "reminder": "Reminder",
    "warning": "Warning",
    "breach": "Too late",
    "escalation": "Escalated",
}
DONE = {  # what a page says after an action; the URL carries only the key
    "claim": "The case is yours.",
    "release": "You let the case go; nobody is on it now.",
    "assign": "The case was handed over.",
    "respond": "The answer is recorded.",
    "wait": "Waiting for the customer; the resolution clock is paused.",
    "resume": "The clock runs again.",
    "snooze": "Reminders are muted. Breaches still sound, and no clock stops.",
    "note": "The note is saved.",
    "resolve": "The case is resolved.",
    "dismiss": "Closed as not a complaint. Thank you, Listener learns from it.",
    "reopen": "The case is open again, with new clocks.",
    "merge": "Merged: the other case has what was written here, and goes on.",
    "customer": "The customer is saved.",
    "pause": "The source is paused.",
    "poll": "The source is polled within a few seconds.",
}


def span(length: timedelta) -> str:
    """A length of time in at most two units: ``1 h 5 min``."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    days, rest = divmod(round(seconds / 60), 60 * 24)
    hours, minutes = divmod(rest, 60)
    parts = [p for p in ((days, "d"), (hours, "h"), (minutes, "min")) if p[0]]
    return " ".join(f"{n} {unit}" for n, unit in parts[:2])


def told(promise_minutes: int) -> str:
    """The waiting time that an answer told."""
    return span(timedelta(minutes=promise_minutes))


def hands(length: timedelta) -> str:
    """How a countdown shows a length of time, left or late: ``4:09``, ``2:04:09``, ``3 d 4 h``. As in app.js."""
    seconds = int(abs(length.total_seconds()))
    if seconds >= 48 * 3600:
        return f"{seconds // 86400} d {seconds % 86400 // 3600} h"
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def level(clock: ClockView, now: datetime) -> str:
    """How pressing a running clock is: ``late``, ``soon`` (a quarter of its time is left) or ``ok``. As in app.js."""
    left = (clock.due_at or now) - now
    if left < timedelta(0):
        return "late"
    return "soon" if left < clock.target / 4 else "ok"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a case's history. ``tone``: plain, good, warn or bad. ``quote`` is somebody's own words."""

    at: datetime
    who: str
    what: str
    tone: str = "plain"
    quote: str = ""
    url: str | None = None
    mention_id: int | None = None
    case_id: int | None = None  # another case


def line(event: cases.Event) -> Line:
    """The event as a sentence, whose subject is ``who`` where somebody acted."""
    at, who = event.at, event.actor or ""
    match event:
        case cases.Opened():
            label = "a complaint" if event.complaint == "complaint" else "perhaps a complaint"
            return Line(at, who, f"Case opened: {label} about {event.reason}.", mention_id=event.mention_id)
        case cases.Joined():
            more = (
                "The customer wrote again."
                if event.awaits_answer
                else "The customer wrote; no answer needed."
            )
            return Line(at, who, more, mention_id=event.mention_id)
        case cases.Called():
            return Line(at, who, f"{event.person} is on duty and was asked to take it.")
        case cases.Claimed():
            return Line(at, who, "is on it.")
        case cases.Assigned():
            return Line(at, who, f"handed the case to {event.to}.")
        case cases.Released(cause="timeout"):
            return Line(at, "", "No answer followed the claim, so it was released.", "warn")
        case cases.Released():
            return Line(at, who, "let it go; nobody is on it.", "warn")
        case cases.Responded():
            wait = f" and told {told(event.promise_minutes)}" if event.promise_minutes else ""
            return Line(at, who, f"answered in public{wait}.", "good", url=event.url)
        case cases.Verified():
            return Line(at, who, "The public answer was found at the source.", "good", url=event.url)
        case cases.Waited():
            return Line(at, who, "waits for the customer; the resolution clock is paused.")
        case cases.Resumed():
            return Line(at, who, "goes on with it; the resolution clock runs.")
        case cases.Snoozed():
            return Line(at, who, f"muted the reminders for {span(event.until - at)}.")
        case cases.Noted():
            return Line(at, who, "notes:", quote=event.text)
        case cases.Resolved():
            reason = f" The reason was {event.reason}." if event.reason else ""
            return Line(at, who, f"resolved it: {event.outcome}.{reason}", "good", quote=event.note)
        case cases.Dismissed():
            return Line(at, who, "says that it is not a complaint:", quote=event.why)
        case cases.Merged():
            return Line(at, who, f"merged it into case {event.into}, where it goes on.", case_id=event.into)
        case cases.MergedFrom():
            number = event.cases[0]
            return Line(
                at, who, f"merged case {number} into it, with what was written there.", case_id=number
            )
        case cases.Reopened():
            what = "opened it again." if event.actor else "The customer came back: opened again."
            return Line(at, who, what, "warn", quote=event.why, mention_id=event.mention_id)
        case cases.MentionChanged(change="deleted"):
            return Line(at, who, "The customer deleted what they wrote. It was:", quote=event.before)
        case cases.MentionChanged():
            stars = ""
            if event.rating is not None and event.rating_before not in (None, event.rating):
                stars = f" and gives {event.rating:g} stars instead of {event.rating_before:g}"
            return Line(at, who, f"The customer edited what they wrote{stars}. It was:", quote=event.before)
        case cases.Recovered():
            return Line(at, who, "The customer confirms it with better stars.", "good")
        case cases.Alarmed():
            return _alarm(event)
        case cases.PromiseEnded(kept=True):
            return Line(at, who, "The promise was kept.", "good")
        case cases.PromiseEnded():
            return Line(at, who, "The promised time has passed: a broken promise.", "bad")
        case cases.PolicyReapplied():
            return Line(at, who, "applied the policy as it is configured now.")


def _alarm(event: cases.Alarmed) -> Line:
    """What was due, and how much earlier when nobody was there to record it in time (a downtime)."""
    clock = CLOCKS[event.clock.partition("/")[0]].lower()
    point = event.step.rpartition(":")[2]
    if point == "100%":
        what = f"the {clock} was due"
    elif point.endswith("%"):
        what = f"{point} of the time for the {clock} was gone"
    else:
        what = f"the {clock} was {point.lstrip('+')} late"
    missed = event.at - event.due_at
    earlier = f" {span(missed)} earlier" if missed >= timedelta(minutes=1) else ""
    unsent = " (not sent: muted or no longer needed)" if event.skipped else ""
    tone = "plain" if event.skipped else {"breach": "bad", "escalation": "bad"}.get(event.step_kind, "warn")
    return Line(event.at, "", f"{ALARMS[event.step_kind]}: {what}{earlier}.{unsent}", tone)
