"""Fetching from hosts that mean well: validators, redirects, waiting as asked, robots.txt, pace."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.errors import FetchError, FetchRefused, NotModified, RetryLater, SourceGone
from listener.fetch import SourceMemory
from listener.fetch.headers import MAX_WAIT, freshness, http_date, retry_after
from listener.fetch.memory import Move, Validators
from listener.ports import get_if_changed
from tests.fakes import Answer, Request, Site
from tests.fetching import Lab, lab, ok, to

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture
def polite() -> Iterator[Lab]:
    with lab() as made:
        yield made


# ---- who we are ---------------------------------------------------------------------------------------------


def test_it_says_who_it_is_and_keeps_no_cookies(site: Site, polite: Lab) -> None:
    site.routes["/"] = ok(Set_Cookie="id=7; Path=/")
    with polite.fetcher.client(SourceMemory()) as http:
        http.get(site.url)
        http.get(site.url)
        assert not http.cookies
    with polite.fetcher.client(SourceMemory()) as http:  # closing a client closes nothing that is shared
        http.get(site.url)
    for request in site.requests:
        assert request.headers["user-agent"].startswith("Listener/")
        assert request.headers["user-agent"].endswith("(+ops@shop.example)")
        assert "cookie" not in request.headers


def test_a_log_in_in_the_url_is_used_but_never_logged(
    site: Site, polite: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    site.routes["/there"] = ok()
    site.routes["/"] = to(site.url.replace("//", "//joe:other@") + "/there")
    with caplog.at_level(logging.INFO, logger="httpx"):
        polite.get(site.url.replace("//", "//joe:secret@"))
    assert site.requests[0].headers["authorization"] == httpx.BasicAuth("joe", "secret")._auth_header
    assert site.url in caplog.text
    assert "secret" not in caplog.text
    assert "other" not in caplog.text
    with pytest.raises(FetchError) as caught:
        polite.get(site.url.replace("//", "//joe:secret@") + "/nothing")
    assert "secret" not in str(caught.value)


def test_keys_do_not_follow_a_redirect_to_another_site(site: Site, polite: Lab) -> None:
    with Site({"/there": ok()}) as other:
        site.routes["/"] = to("/inside")
        site.routes["/inside"] = to(f"{other.url}/there")
        polite.get(site.url, headers={"X-Api-Key": "k", "Accept": "text/csv"}, auth=("joe", "secret"))
        (inside,) = [r for r in site.requests if r.path == "/inside"]
        assert inside.headers["x-api-key"] == "k"
        assert "authorization" in inside.headers
        (there,) = other.requests
    assert there.headers["accept"] == "text/csv"
    assert there.headers["host"] == other.url.removeprefix("http://")
    assert not {"x-api-key", "authorization"} & there.headers.keys()


# ---- nothing new --------------------------------------------------------------------------------------------

ETAG = 'W/"\xfc -gzip'  # not even well-formed: it goes back as it came
MODIFIED = "Fri, 20 Nov 2026 11:59:59 UTC+0"


def conditional(request: Request) -> Answer:
    if request.headers.get("if-none-match") == ETAG and request.headers.get("if-modified-since") == MODIFIED:
        return 304, {"ETag": '"another"', "Cache-Control": "max-age=600"}, b""
    return ok(ETag=ETAG, Last_Modified=MODIFIED)


def test_validators_go_back_byte_for_byte(site: Site, polite: Lab) -> None:
    site.routes["/feed"] = conditional
    assert polite.get_if_changed(f"{site.url}/feed").text == "hello"
    for _ in range(2):
        before = polite.memory.to_json()
        assert polite.get_if_changed(f"{site.url}/feed").status_code == 304
        assert polite.memory.poll_after == timedelta(minutes=10)
        assert polite.memory.to_json() == before
    memory = SourceMemory.from_json(polite.memory.to_json())
    with polite.fetcher.client(memory) as http, pytest.raises(NotModified):
        get_if_changed(http, f"{site.url}/feed")


def test_a_plain_get_is_never_conditional(site: Site, polite: Lab) -> None:
    site.routes["/feed"] = conditional
    polite.get_if_changed(f"{site.url}/feed")
    assert polite.get(f"{site.url}/feed").text == "hello"


def test_equal_bytes_are_nothing_new_and_the_newer_validators_count(site: Site, polite: Lab) -> None:
    site.routes["/feed"] = ok(ETag='"1"')
    assert polite.get_if_changed(f"{site.url}/feed").status_code == 200
    site.routes["/feed"] = ok(ETag='"2"')
    assert polite.get_if_changed(f"{site.url}/feed").status_code == 304
    site.routes["/feed"] = ok(b"news")
    assert polite.get_if_changed(f"{site.url}/feed").text == "news"
    assert [r.headers.get("if-none-match") for r in site.requests] == [None, '"1"', '"2"']
    assert polite.get_if_changed(f"{site.url}/feed").status_code == 304
    assert "if-none-match" not in site.requests[-1].headers  # the last answer had none


def test_a_poll_that_fails_forgets_what_it_saw(site: Site, polite: Lab) -> None:
    site.routes["/feed"] = ok(ETag='"1"')
    stored = polite.memory.to_json()
    with polite.fetcher.client(SourceMemory.from_json(stored)) as http:
        get_if_changed(http, f"{site.url}/feed")  # and then the process dies before the page is stored
    assert polite.get_if_changed(f"{site.url}/feed").text == "hello"
    assert "if-none-match" not in site.requests[-1].headers


def test_validators_belong_to_the_address_that_gave_them(site: Site, polite: Lab) -> None:
    site.routes |= {"/feed": to("/a"), "/a": ok(b"a", ETag='"same"'), "/b": ok(b"b", ETag='"same"')}
    assert polite.get_if_changed(f"{site.url}/feed").text == "a"
    assert polite.get_if_changed(f"{site.url}/feed").status_code == 304
    site.routes["/feed"] = to("/b")
    assert polite.get_if_changed(f"{site.url}/feed").text == "b"
    sent = [(r.path, r.headers.get("if-none-match")) for r in site.requests]
    assert sent == [
        ("/feed", None),
        ("/a", None),
        ("/feed", None),
        ("/a", '"same"'),
        ("/feed", None),
        ("/b", None),
    ]


def test_validators_do_not_follow_a_redirect(site: Site, polite: Lab) -> None:
    site.routes |= {"/feed": ok(ETag='"1"'), "/b": ok(b"b")}
    polite.get_if_changed(f"{site.url}/feed")
    site.routes["/feed"] = to("/b")
    assert polite.get_if_changed(f"{site.url}/feed").text == "b"
    sent = [(r.path, r.headers.get("if-none-match")) for r in site.requests]
    assert sent == [("/feed", None), ("/feed", '"1"'), ("/b", None)]


def test_a_304_that_nobody_asked_for_is_an_error_and_no_good_news(site: Site, polite: Lab) -> None:
    site.routes["/feed"] = (304, {}, b"")
    with pytest.raises(FetchError, match="304"):
        polite.get_if_changed(f"{site.url}/feed")


def test_a_giant_validator_is_not_kept(site: Site, polite: Lab) -> None:
    site.routes["/feed"] = ok(ETag='"' + "x" * 5_000 + '"')
    polite.get_if_changed(f"{site.url}/feed")
    assert len(polite.memory.to_json()) < 500


latin1 = st.text(st.characters(max_codepoint=255), max_size=30)


@given(
    st.dictionaries(st.text(max_size=9), st.builds(Validators, latin1, latin1, latin1, latin1), max_size=5),
    st.dictionaries(st.text(max_size=9), st.builds(Move, latin1, st.integers(1, 3)), max_size=5),
)
def test_memory_survives_json(pages: dict[str, Validators], moves: dict[str, Move]) -> None:
    memory = SourceMemory(pages=pages, moves=moves)
    assert SourceMemory.from_json(memory.to_json()) == memory


def test_memory_does_not_grow_without_end(site: Site, polite: Lab) -> None:
    with polite.fetcher.client(polite.memory) as http:
        for number in range(60):
            site.routes[f"/{number}"] = to(f"/there/{number}", 301)
            site.routes[f"/there/{number}"] = ok()
            get_if_changed(http, f"{site.url}/{number}")
    assert len(polite.memory.pages) == len(polite.memory.moves) == 50
    assert f"{site.url}/59" in polite.memory.pages


# ---- moved for good -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 308])
def test_a_permanent_redirect_is_believed_after_three_polls(site: Site, polite: Lab, status: int) -> None:
    site.routes |= {"/old": to("/new", status), "/new": ok()}
    for _ in range(3):
        polite.get(f"{site.url}/old")
        assert polite.memory.moved is None
    assert site.paths() == ["/old", "/new"] * 3
    assert polite.get(f"{site.url}/old").text == "hello"
    assert polite.memory.moved == f"{site.url}/new"
    assert site.paths()[6:] == ["/new"]


@pytest.mark.parametrize("between", [to("/new", 302), to("/new", 307), to("/else", 301), ok()])
def test_anything_else_in_between_starts_the_count_anew(site: Site, polite: Lab, between: Answer) -> None:
    site.routes |= {"/new": ok(), "/else": ok()}
    for answer in [to("/new", 301), to("/new", 301), between, to("/new", 301), to("/new", 301)]:
        site.routes["/old"] = answer
        polite.get(f"{site.url}/old")
    assert site.paths().count("/old") == 5
    polite.get(f"{site.url}/old")
    assert site.paths().count("/old") == 6


def test_requests_of_one_poll_count_once(site: Site, polite: Lab) -> None:
    site.routes |= {"/old": to("/new", 301), "/new": ok()}
    with polite.fetcher.client(polite.memory) as http:
        for _ in range(5):
            http.get(f"{site.url}/old")
    assert site.paths().count("/old") == 5


def test_only_the_permanent_head_of_a_chain_is_adopted(site: Site, polite: Lab) -> None:
    site.routes |= {
        "/old": to("/a", 301),
        "/a": to("/b", 308),
        "/b": to("/c", 302),
        "/c": to("/d", 301),
        "/d": ok(),
    }
    for _ in range(4):
        polite.get(f"{site.url}/old")
    assert polite.memory.moved == f"{site.url}/b"
    assert site.paths()[-3:] == ["/b", "/c", "/d"]


def test_an_adopted_address_may_move_on(site: Site, polite: Lab) -> None:
    site.routes |= {"/old": to("/new", 301), "/new": ok(), "/newer": ok()}
    for _ in range(4):
        polite.get(f"{site.url}/old")
    site.routes["/new"] = to("/newer", 301)
    for _ in range(3):
        polite.get(f"{site.url}/old")
    assert site.paths()[-6:] == ["/new", "/newer"] * 3
    polite.get(f"{site.url}/old")
    assert site.paths()[-2:] == ["/newer", "/newer"]
    assert polite.memory.moved == f"{site.url}/newer"
    site.routes |= {"/new": ok(b"back"), "/newer": to("/new", 301)}  # and in a circle
    for _ in range(5):
        assert polite.get(f"{site.url}/old").text == "back"


def test_an_adopted_address_that_fails_sends_us_back_to_the_old_one(site: Site, polite: Lab) -> None:
    site.routes |= {"/old": to("/new", 301), "/new": ok()}
    for _ in range(4):
        polite.get(f"{site.url}/old")
    site.routes |= {"/old": ok(b"home again"), "/new": (404, {}, b"")}
    assert polite.get(f"{site.url}/old").text == "home again"
    assert polite.memory.moved is None
    polite.get(f"{site.url}/old")
    assert site.paths()[-2:] == ["/old", "/old"]


def test_validators_hold_across_an_adoption(site: Site, polite: Lab) -> None:
    site.routes |= {"/old": to("/new", 301), "/new": ok(ETag='"1"')}
    assert [polite.get_if_changed(f"{site.url}/old").status_code for _ in range(5)] == [
        200,
        304,
        304,
        304,
        304,
    ]
    assert site.requests[-1].headers["if-none-match"] == '"1"'


# ---- statuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "source's options"),
        (401, "log-in"),
        (403, "blocks robots"),
        (404, "check the URL"),
        (418, "source's options"),
        (451, "legal"),
        (500, "fault of its own"),
        (502, "fault of its own"),
    ],
)
def test_error_statuses_are_errors_with_advice(site: Site, polite: Lab, status: int, words: str) -> None:
    site.routes["/"] = (status, {}, b"sorry")
    with pytest.raises(FetchError, match=words) as caught:
        polite.get(site.url)
    assert caught.value.status == status
    assert site.url in str(caught.value)
    assert not isinstance(caught.value, RetryLater | SourceGone | FetchRefused)
    api = polite.get(site.url, extensions={"listener_any_status": True})
    assert (api.status_code, api.text) == (status, "sorry")


def test_gone_is_gone(site: Site, polite: Lab) -> None:
    site.routes["/"] = (410, {"Retry-After": "60"}, b"")
    with pytest.raises(SourceGone):
        polite.get(site.url)
    assert not polite.saved


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "120", 120),
        (503, format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (403, "30", 30),
        (429, None, 60),
        (503, "soon", 60),
        (429, "999999999", MAX_WAIT.total_seconds()),
        (503, "-5", 60),
    ],
)
def test_a_host_that_wants_a_pause_gets_it_from_all_sources_and_processes(
    site: Site, polite: Lab, status: int, header: str | None, seconds: float
) -> None:
    site.routes |= {"/a": (status, {"Retry-After": header} if header else {}, b""), "/b": ok()}
    with pytest.raises(RetryLater) as caught:
        polite.get(f"{site.url}/a")
    assert (caught.value.seconds, caught.value.status) == (seconds, status)
    for _ in range(2):
        with pytest.raises(RetryLater) as caught:
            polite.get(f"{site.url}/b")
        assert caught.value.seconds == seconds
        polite.restart()
    assert site.paths() == ["/a"]
    polite.now += timedelta(seconds=seconds)
    assert polite.get(f"{site.url}/b").text == "hello"


def test_an_api_that_reads_its_own_errors_still_has_its_pause_kept(site: Site, polite: Lab) -> None:
    site.routes["/"] = (429, {"Retry-After": "9"}, b'{"error": "slow down"}')
    assert polite.get(site.url, extensions={"listener_any_status": True}).json() == {"error": "slow down"}
    with pytest.raises(RetryLater):
        polite.get(site.url)


@given(st.integers(0, 10**9))
def test_retry_after_seconds(seconds: int) -> None:
    assert retry_after(f" {seconds} ", NOW) == min(max(seconds, 1), MAX_WAIT.total_seconds())


@given(st.integers(-(10**6), 10**6))
def test_retry_after_dates(seconds: int) -> None:
    header = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(header, NOW) == min(max(seconds, 1), MAX_WAIT.total_seconds())


@given(st.text())
def test_retry_after_never_fails_on_junk(junk: str) -> None:
    seconds = retry_after(junk, NOW)
    assert seconds is None or 1 <= seconds <= MAX_WAIT.total_seconds()
    moment = http_date(junk)
    assert moment is None or moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Cache-Control": "public, max-age=600"}, 600),
        ({"Cache-Control": "max-age=600", "Age": "200"}, 400),
        ({"Cache-Control": "max-age=600", "Age": "2000"}, 0),
        ({"Cache-Control": "no-cache, max-age=600"}, 0),
        ({"Cache-Control": "s-maxage=600"}, 0),
        ({"Cache-Control": "max-age=31536000"}, 86400),
        ({"Cache-Control": "max-age=ten", "Expires": "Fri, 20 Nov 2026 12:10:00 GMT"}, 600),
        ({"Expires": "0"}, 0),
        ({"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        # by the server's clock, which is an hour late
        ({"Expires": "Fri, 20 Nov 2026 11:10:00 GMT", "Date": "Fri, 20 Nov 2026 11:00:00 GMT"}, 600),
    ],
)
def test_freshness(headers: dict[str, str], seconds: int) -> None:
    assert freshness(httpx.Headers(headers), NOW) == timedelta(seconds=seconds)


def test_the_answer_that_goes_stale_first_sets_the_floor(site: Site, polite: Lab) -> None:
    site.routes |= {"/a": ok(Cache_Control="max-age=900"), "/b": ok(Cache_Control="max-age=60")}
    memory = SourceMemory()
    with polite.fetcher.client(memory) as http:
        http.get(f"{site.url}/a")
        http.get(f"{site.url}/b")
    assert memory.poll_after == timedelta(minutes=1)
