"""Strange text made plain: markup to text, text hygiene, and times in every form that sources use."""

from __future__ import annotations

import html as entities
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_tz

from selectolax.lexbor import LexborHTMLParser

# ---- text --------------------------------------------------------------------------------------------------

# Hostile markup makes a tree cost more than linear time: 2,000 x "<p><font a=N>" took 0.4 s and 8,000 took
# 9 s, one tag with 100,000 attributes 30 s (selectolax 1.0.2). Past these limits the tags are cut out without
# a tree; the worst case found below them is 30 ms. Of 1,395 real bodies one in a thousand has over 560 tags.
_MAX_TREE_TAGS = 1_000
_MAX_TREE_CHARS = 50_000

# Every tag but these is a line break. The list of the others is longer, and took 4 times as long to look for.
_BLOCK_TAG = re.compile(
    r"<(?=/?[a-z])(?!/?(?:a|abbr|acronym|b|bdi|bdo|big|button|cite|code|data|del|dfn|em|font|i|img|input|ins|kbd|label"
    r"|mark|nobr|q|rp|rt|ruby|s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr)[\s/>])",
    re.IGNORECASE,
)
_UNSEEN = ["script", "style", "noscript", "template", "iframe", "object", "svg", "math", "title"]
_UNSEEN_TAG = re.compile(rf"<(?:{'|'.join(_UNSEEN)})\b", re.IGNORECASE)
_TAG_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")
_BREAK = "\f"  # white space to an HTML parser, so it stays where it is put, even between the rows of a table

# Controls that are not white space, C1 (in practice Windows-1252 by mistake), noncharacters, lone surrogates.
_UNFIT = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_WINDOWS_1252 = {chr(n): bytes([n]).decode("cp1252", "ignore") for n in range(0x80, 0xA0)}


def clean(text: str) -> str:
    """Text that is not markup, made fit to store and show: no NUL, other controls or lone surrogates, runs of
    white space as one space, or as one line break where they hold one."""
    if text.isprintable():  # most titles and names: nothing to mend, one line
        return " ".join(text.split())
    if _UNFIT.search(text):
        # Two halves of a pair that stand beside each other are one character.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        text = _UNFIT.sub(lambda m: _WINDOWS_1252.get(m[0], ""), text)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def plain(html: str) -> str:
    """Markup as plain text: what a reader sees, with a line break at each block and ``<br>``, entities
    decoded once, emoji that are images as their characters; then as ``clean`` does. Text without any tag
    keeps its own line breaks.
    """
    if "<" not in html:
        return clean(entities.unescape(html) if "&" in html else html)
    html = _BLOCK_TAG.sub(_BREAK + "<", " ".join(html.split()))
    if len(html) > _MAX_TREE_CHARS or html.count("<") > _MAX_TREE_TAGS:
        return clean(_without_tags(html))
    tree = LexborHTMLParser(html)
    if _UNSEEN_TAG.search(html):
        tree.strip_tags(_UNSEEN)
    if "emoji" in html or "wp-smiley" in html:
        for image in tree.css("img.emoji[alt], img.wp-smiley[alt]"):
            image.replace_with(image.attributes["alt"] or "")
    return clean(tree.body.text()) if tree.body else ""


def _without_tags(html: str) -> str:
    """The text of any markup in linear time, a little less exact than a tree's."""
    text: list[str] = []
    until = ""  # what ends the part that is not to be seen
    for n, part in enumerate(html.split("<")):
        if n == 0:
            text.append(part)
            continue
        if until:
            if until == "-->" and until in part:
                text.append(part.split(until, 1)[1])
                until = ""
                continue
            if until == "-->" or not part.lower().startswith(until):
                continue
            until = ""
        name = _TAG_NAME.match(part)
        if part.startswith("!--"):
            _, end, rest = part[3:].partition("-->")
            text.append(rest)
            until = "" if end else "-->"
        elif name or part.startswith(("!", "?")):
            if name and part[0] != "/" and name[1].lower() in _UNSEEN:
                until = "/" + name[1].lower()
            else:
                text.append(part.partition(">")[2])
        else:
            text.append("<" + part)
    return entities.unescape("".join(text))


# What sites print when the author is gone or never told a name (casefolded); as an identity it would join strangers.
NOBODY = {
    "", "[deleted]", "[removed]", "deleted", "deleted user", "anonymous", "anonymous user", "anonym",
    "anónimo", "anonyme", "anonimo", "guest", "gast", "gjest", "invité", "invitado", "tamu", "tetamu",
    "unknown", "n/a", "none", "null", "a customer", "a google user", "ein kunde",
}  # fmt: skip


# ---- times -------------------------------------------------------------------------------------------------

# Zone names in minutes east of UTC. BST, CST and IST are ambiguous: the choice is that of the feed parsers.
_ZONES = {
    "Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "MET": 60, "MEZ": 60,
    "CEST": 120, "MEST": 120, "MESZ": 120, "EET": 120, "EEST": 180, "MSK": 180, "IST": 330, "WIB": 420,
    "AWST": 480, "HKT": 480, "SGT": 480, "JST": 540, "KST": 540, "ACST": 570, "ACDT": 630, "AEST": 600,
    "AEDT": 660, "NZST": 720, "NZDT": 780, "ART": -180, "BRT": -180, "EDT": -240, "EST": -300, "CDT": -300,
    "CST": -360, "MDT": -360, "MST": -420, "PDT": -420, "PST": -480, "AKDT": -480, "AKST": -540, "HST": -600,
}  # fmt: skip
# The months in the languages of Europe (the parsers below know English ones themselves).
_MONTHS = {
    name: number
    for number, names in {
        1: "januar jänner jan janvier janv enero ene gennaio gen janeiro januari styczeń stycznia января янв"
        " ιαν ιανουαρίου ocak",
        2: "februar feb février févr febrero febbraio fevereiro fev februari luty lutego февраля фев"
        " φεβ φεβρουαρίου şubat",
        3: "märz mär mars marzo mar março maart mrt marzec marca марта мар μαρ μαρτίου mart",
        4: "april apr avril avr abril abr aprile kwiecień kwietnia апреля апр απρ απριλίου nisan",
        5: "mai maj mayo may maggio mag maio mei maja мая μαι μάι μαΐ μαΐου mayıs",
        6: "juni jun juin junio giugno giu junho czerwiec czerwca июня июн ιουν ιούν ιουνίου haziran",
        7: "juli jul juillet juil julio luglio lug julho lipiec lipca июля июл ιουλ ιούλ ιουλίου temmuz",
        8: "august aug août agosto ago augusti augustus sierpień sierpnia августа авг"
        " αυγ αύγ αυγούστου ağustos",
        9: "september sep sept septembre septiembre settembre set setembro wrzesień września сентября сен"
        " σεπ σεπτεμβρίου eylül",
        10: "oktober okt oct octobre octubre ottobre ott outubro out październik października октября окт"
        " οκτ οκτωβρίου ekim",
        11: "november nov novembre noviembre novembro listopad listopada ноября ноя νοε νοέ νοεμβρίου kasım",
        12: "dezember dez desember des december dec décembre déc diciembre dic dicembre dezembro grudzień"
        " grudnia декабря дек δεκ δεκεμβρίου aralık",
    }.items()
    for name in names.split()
}
_CLOCK = r"""
    (?P<half>오전|오후|上午|下午|午前|午後)? \s*
    (?P<hour>\d{1,2}) [:.hH時时시] \s? (?P<minute>\d\d)
    (?: [:.分분] \s? (?P<second>\d\d) (?: [.,] (?P<fraction>\d+) )? )?
    \s* (?:分|분|秒|초|Uhr)?"""
_ZONE = r"""
    \s* \(? (?P<zone> Z | z | [A-Z]{2,4} )? \)?
    \s* (?: (?P<sign>[+−-]) (?P<east>\d{1,2}) (?: :? (?P<east_minutes>[0-5]\d) )? )?
    (?: \s* \( .* \) )? \s* $"""
_FORMS = [
    re.compile(form + _ZONE, re.VERBOSE)
    for form in (
        # ISO 8601 and what is taken for it: 2026-11-02T10:00:00.5+01:00, 2026/11/02 10:00, 2026-11
        rf"""(?P<year>\d{{4}}) (?: [-/.] (?P<month>\d{{1,2}}) (?: [-/.] (?P<day>\d{{1,2}}) )? )?
            (?: (?: \s*[Tt]\s* | ,?\s+ ) {_CLOCK} )?""",
        # 20261102, 20261102T100000
        r"""(?P<year>\d{4}) (?P<month>\d\d) (?P<day>\d\d)
            (?: [Tt\ ]? (?P<hour>\d\d) (?P<minute>\d\d) (?P<second>\d\d)? )?""",
        # 2026년 11월 2일 오후 3:05, 2026年11月2日 10時00分
        rf"""(?P<year>\d{{4}}) \s* [년年] \s* (?P<month>\d{{1,2}}) \s* [월月] \s*
            (?P<day>\d{{1,2}}) \s* [일日] (?: \s* {_CLOCK} )?""",
        # Mon, 02 Nov 2026 10:00:00 +0100; 2. November 2026, 10:00 Uhr; 2 de noviembre de 2026; 02.11.2026 10:00
        rf"""(?: [^\W\d_]+ \.? ,? \s+ )? (?P<day>\d{{1,2}}) (?: \. | º | er )? (?: \s+ de )?
            (?: [\s-]* (?P<name>[^\W\d_]{{3,}}) [.,]? (?: \s+ de )? [\s-]+
              | (?<=\.) \s? (?P<month>\d{{1,2}}) \. \s? )
            (?P<year>\d{{4}}) (?: ,? \s+ (?: [^\W\d_]+ \s+ )? {_CLOCK} )?""",
    )
]
_MAX_TIME_CHARS = 100  # longer strings are no dates, and dateutil reads them in quadratic time


def parse_time(value: object, *, default_tz: tzinfo = UTC) -> datetime | None:
    """The instant that a source means, in UTC; None where it can't be known.

    ``value`` is a date and time in words (RFC 822, ISO 8601 and their common misspellings, the months of
    Europe's languages, Korean, Japanese, Chinese), seconds, milliseconds or microseconds since 1970, or a
    ``datetime``. ``default_tz`` holds where the value names no zone. What is far in the past or the future is
    returned as told. Never reads the clock, so "yesterday", "10:30" and "2 May" without a year give None.
    """
    try:
        if isinstance(value, datetime):
            return _in_utc(value, default_tz)
        if isinstance(value, int | float):
            return _since_1970(value)
        if not isinstance(value, str) or len(value) > _MAX_TIME_CHARS:
            return None
        return _parse_words(" ".join(value.split()), default_tz)
    except (ValueError, OverflowError):  # no such day, or outside the years 1 to 9999
        return None


def _in_utc(when: datetime, default_tz: tzinfo) -> datetime:
    return (when if when.tzinfo else when.replace(tzinfo=default_tz)).astimezone(UTC)


def _since_1970(number: float) -> datetime | None:
    for unit in (1, 1_000, 1_000_000):
        if 1e8 <= number / unit < 1e11:  # 1973 to 5138; the units can't be mistaken for each other
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number / unit)
    return None


def _parse_words(text: str, default_tz: tzinfo) -> datetime | None:
    if not text:
        return None
    if text[0].isdigit():
        try:  # the form of most Atom and JSON sources, in a third of the time
            when = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            if "-" in text[:8]:
                return _in_utc(when, default_tz)
    if re.fullmatch(r"\d{9,11}(\.\d+)?|\d{13}|\d{16}", text):
        return _since_1970(float(text))
    for form in _FORMS if text[0].isdigit() else _FORMS[-1:]:
        if (match := form.match(text)) and (found := _from_parts(match, default_tz)):
            return found
    return _from_rfc822(text, default_tz) or _last_resort(text, default_tz)


def _from_parts(match: re.Match[str], default_tz: tzinfo) -> datetime | None:
    part = match.groupdict()
    zone = _zone(part, default_tz)
    month = _MONTHS.get(part["name"].lower()) if part.get("name") else int(part["month"] or 1)
    if month is None or zone is None:
        return None
    hour = int(part["hour"] or 0)
    if part.get("half"):
        hour = hour % 12 + (12 if part["half"] in ("오후", "下午", "午後") else 0)
    day = datetime(int(part["year"]), month, int(part["day"] or 1), tzinfo=zone)
    return _at(
        day, hour, int(part["minute"] or 0), float(f"{part['second'] or 0}.{part.get('fraction') or 0}")
    )


def _zone(part: dict[str, str | None], default_tz: tzinfo) -> tzinfo | None:
    """The zone that a match names; None for a name that nobody knows."""
    if part["sign"]:
        east = timedelta(hours=int(part["east"] or 0), minutes=int(part["east_minutes"] or 0))
        return timezone(east if part["sign"] == "+" else -east)
    if not part["zone"]:
        return default_tz
    minutes = _ZONES.get(part["zone"].upper())
    return None if minutes is None else timezone(timedelta(minutes=minutes))


def _at(day: datetime, hour: int, minute: int, second: float) -> datetime | None:
    """That time of that day in UTC. 24:00 and a leap second are read as the instant that they mean."""
    if hour > 24 or minute > 59 or second >= 61:
        return None
    wall = day.replace(tzinfo=None) + timedelta(hours=hour, minutes=minute, seconds=second)
    return wall.replace(tzinfo=day.tzinfo).astimezone(UTC)


_HALF_DAY = re.compile(r"\b[ap]\.?m\b", re.IGNORECASE)
_MONTH_NAME = re.compile("jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec", re.IGNORECASE)
_TRAILING_ZONE = re.compile(
    r"""\s* \b (?P<zone>[A-Z]{1,4})? \s* (?: (?P<sign>[+−-]) (?P<east>\d\d) :? (?P<east_minutes>[0-5]\d) )? $""",
    re.VERBOSE,
)


def _from_rfc822(text: str, default_tz: tzinfo) -> datetime | None:
    # parsedate_tz ignores "PM", and takes numbers without the name of a month for years.
    if _HALF_DAY.search(text) or not _MONTH_NAME.search(text):
        return None
    if text.endswith(")"):
        text = text[: text.rfind("(")].rstrip()
    zone = _TRAILING_ZONE.search(text, max(len(text) - 12, 0))
    tz = _zone(zone.groupdict(), default_tz) if zone else default_tz
    found = parsedate_tz(text[: zone.start()] if zone and tz else text)
    return _at(datetime(*found[:3], tzinfo=tz or default_tz), *found[3:6]) if found else None


_WORD_OR_SLASH = re.compile(r"[A-Za-z]{3}|\d/\d")


def _last_resort(text: str, default_tz: tzinfo) -> datetime | None:
    if not _WORD_OR_SLASH.search(text):  # it makes something of any number
        return None
    from dateutil import parser  # type: ignore[import-untyped]  # slow to import and seldom needed

    offsets = {name: minutes * 60 for name, minutes in _ZONES.items()}
    try:
        when: datetime = parser.parse(text, default=datetime(1, 1, 1, tzinfo=default_tz), tzinfos=offsets)
    except (ValueError, TypeError, ArithmeticError):  # it raises each of them for text that is no date
        return None
    if when.year == 1:  # not in the text
        return None
    return when.astimezone(UTC)
