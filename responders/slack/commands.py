"""What ``/listener`` answers to the one who asks. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches

from listener.errors import Refused, UsageError
from listener.model import CustomerView, Notice
from listener.ports import Desk
from responders._text import badges, clean
from responders.slack.blocks import Message, brief, case_message, escape, section
from responders.slack.home import duty, figures

LONGEST = 500  # characters of a question
SOONEST = 5  # cases of the queue that `status` shows
TOLD_IN_FULL = 3  # so many customers of one name are shown with their cases, more by name only
CASES_OF_ONE = 4


def answer(desk: Desk, who: str, text: str, now: datetime) -> Message:
    """The answer to ``/listener <text>``, for ``who`` alone. What can't be done is told in words."""
    word, _, rest = clean(text)[:LONGEST].partition(" ")
    word, rest = word.lower(), rest.strip()
    if word.lstrip("#").isdigit() and not rest:
        word, rest = "case", word
    found = COMMANDS.get(word or "help")
    if found is None:
        return _unknown(word)
    try:
        return found[2](desk, who, rest, now)
    except (Refused, UsageError) as error:
        return _message(escape(str(error), 1000))


def _status(desk: Desk, who: str, _rest: str, now: datetime) -> Message:
    mine, queue = desk.mine(who), desk.queue()
    waiting = f"*{_count(len(queue))}* in the queue, which nobody has." if queue else "The queue is empty."
    yours = f"*{_count(len(mine))}* of yours." if mine else "You have no open case."
    parts = [
        figures(desk.today()),
        f"{waiting} {yours}",
        *(brief(c, now, held=False) for c in queue[:SOONEST]),
    ]
    if (more := len(queue) - SOONEST) > 0:
        parts.append(f"… and {more} more in the queue, all due later. The Home tab of this app shows them.")
    return _message(*parts)


def _case(desk: Desk, _who: str, rest: str, now: datetime) -> Message:
    number = rest.removeprefix("#")
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        asked = f"“{escape(rest, 40)}” is not the number of a case." if rest else "Which case?"
        return _message(f"{asked} Try `/listener case 12`.")
    case = desk.case(int(number))
    return case_message(Notice("changed", "", now, case), case, acting=True)


def _customer(desk: Desk, _who: str, rest: str, now: datetime) -> Message:
    if not rest:
        return _message("Which customer? Try `/listener customer jane`.")
    found = desk.customers(rest)
    if not found:
        return _message(
            f"No customer's name holds “{escape(rest, 100)}”. Try a part of it, such as the first name."
        )
    parts = []
    for customer in found:
        parts.append(_about(customer))
        if len(found) <= TOLD_IN_FULL:
            cases = desk.cases_of(customer.id)
            parts += [brief(case, now) for case in cases[:CASES_OF_ONE]] or ["No case of theirs so far."]
    if len(found) > TOLD_IN_FULL:
        parts.append("Give more of the name to see their cases.")
    return _message(*parts)


def _about(customer: CustomerView) -> str:
    told = [escape(badge, 60) for badge in badges(customer)]
    if not any("bad experience" in badge for badge in told):
        times = "one bad experience" if customer.bad_experiences == 1 else "no bad experience"
        told.append(f"{times} in {customer.window_days} days")
    return f"*{escape(customer.name, 60)}* · {' · '.join(told)}"


def _search(desk: Desk, _who: str, rest: str, now: datetime) -> Message:
    if not rest:
        return _message("What shall I look for? Try `/listener search refund`.")
    found = desk.search(rest)
    if not found:
        return _message(f"No case holds “{escape(rest, 100)}”. Try fewer words, or a part of one.")
    first = f"{_count(len(found))} with “{escape(rest, 100)}”, the newest first:"
    return _message(first, *(brief(case, now) for case in found))


def _duty(desk: Desk, _who: str, _rest: str, _now: datetime) -> Message:
    return _message(f"*On duty now*\n{duty(desk.on_duty())}")


def _help(_desk: Desk, _who: str, _rest: str, _now: datetime) -> Message:
    return _message(_usage())


COMMANDS: dict[str, tuple[str, str, Callable[[Desk, str, str, datetime], Message]]] = {
    "status": ("status", "today's figures and what is due next", _status),
    "case": ("case 12", "one case as it stands, with its buttons", _case),
    "customer": ("customer jane", "customers by name, and how often they were let down", _customer),
    "search": ("search refund", "the newest cases in which all the words stand", _search),
    "duty": ("duty", "who is on duty now", _duty),
    "help": ("help", "this list", _help),
}


def _usage() -> str:
    return "\n".join(f"• `/listener {example}` – {what}" for example, what, _ in COMMANDS.values())


def _unknown(word: str) -> Message:
    close = get_close_matches(word[:40], COMMANDS, n=1)
    meant = f" Did you mean `/listener {close[0]}`?" if close else ""
    return _message(f"I don't know “{escape(word, 40)}”.{meant}", _usage())


def _count(number: int) -> str:
    return "1 case" if number == 1 else f"{number} cases"


def _message(*parts: str) -> Message:
    """Each part is a section; together they are the text."""
    return Message("\n".join(parts), [section(part) for part in parts])
