"""The dashboard in a real browser: what its scripts do, what strangers' scripts don't, and how it looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from listener.service import act
from tests.chromium import CHROMIUM, Chromium
from tests.dashboard import PAGES, TOKEN, Dashboard, busy_day, served
from tests.world import World

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium"),
    pytest.mark.timeout(240),
]

DESK, PHONE = (1280, 900), (390, 844)
SPEED = 20.0

# Every text against what is painted behind it, by WCAG 2.2: 4.5 to 1, or 3 to 1 for large text.
CONTRAST = """
(() => {
  const light = ([r, g, b]) => {
    const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(style.color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < needed) poor.push(`${walk.currentNode.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
})()
"""
UNNAMED = """
[...document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea, img")]
  .filter((n) => !(n.textContent.trim() || n.labels?.length || n.getAttribute("aria-label") || n.hasAttribute("alt")))
  .map((n) => n.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    browser = Chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def busy(world: World, chromium: Chromium) -> Iterator[Dashboard]:
    """A busy day, and the browser logged in as Anna through the printed link."""
    busy_day(world)
    with served(world, demo=True, clock_speed=SPEED) as dashboard:
        chromium.call("Network.clearBrowserCookies")
        chromium.look(*DESK)
        chromium.open(f"{dashboard.url}/login?token={quote(TOKEN)}")
        assert TOKEN not in chromium.script("decodeURIComponent(location.href)")
        assert chromium.script("location.pathname") == "/me"
        chromium.leave("document.querySelector('button').click()")
        assert chromium.script("location.pathname") == "/"
        chromium.console.clear()
        yield dashboard


def test_the_countdown_runs_at_the_clocks_speed_and_turns_late(busy: Dashboard, chromium: Chromium) -> None:
    count = "document.querySelector('.group-running').parentElement.querySelector('[data-due]')"
    shown = chromium.script(f"{count}.innerText")
    chromium.until(f"{count}.innerText !== {shown!r}")
    seconds = chromium.script(
        f"(() => {{ const [m, s] = {count}.querySelector('b').innerText.split(':').map(Number);"
        f" return m * 60 + s - (Date.parse({count}.dataset.due) - now()) / 1000; }})()"
    )
    assert abs(seconds) <= SPEED + 1, "it shows what is left by the server's quickened clock"
    # The computer sleeps for three hours of the clock's time: only the wall clock knows.
    chromium.script("hereThen -= 3 * 3600 * 1000 / speed; tick()")
    assert chromium.script(f"{count}.innerText").endswith("late")
    assert chromium.script(f"{count}.dataset.level") == "late"
    assert "late now" in chromium.script("document.getElementById('announce').innerText")


def test_times_are_in_the_readers_zone(busy: Dashboard, chromium: Chromium) -> None:
    chromium.call("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    try:
        chromium.open(f"{busy.url}/cases/2")
        time = "document.querySelector('.instants time')"
        assert chromium.script(f"{time}.dateTime") == "2026-03-02T08:31:00.000Z"
        assert "5:31" in chromium.script(f"{time}.innerText")
        assert "2026" in chromium.script(f"{time}.title")
    finally:
        chromium.call("Emulation.setTimezoneOverride", timezoneId="")


def test_an_open_page_follows_what_others_do(busy: Dashboard, chromium: Chromium) -> None:
    chromium.open(busy.url)
    chromium.script("document.querySelector('[data-key=claim-4]').focus()")
    act.claim(busy.world.core, 2, "Ben", busy.world.now)
    chromium.until("!document.querySelector('[data-key=claim-2]')")
    assert chromium.script("document.activeElement.dataset.key") == "claim-4", "the focus stays"
    assert chromium.script("document.getElementById('lost').hidden")


def test_nobody_loses_what_they_write(busy: Dashboard, chromium: Chromium) -> None:
    chromium.open(f"{busy.url}/cases/2")
    chromium.script(
        "document.querySelector('#do-note').open = true;"
        "document.querySelector('#do-note textarea').value = 'half a sent'"
    )
    act.claim(busy.world.core, 2, "Ben", busy.world.now)
    chromium.until("document.querySelector('.chips').innerText.includes('Ben')")
    chromium.script("refresh()")
    assert chromium.script("document.querySelector('#do-note textarea').value") == "half a sent"
    chromium.leave("document.querySelector('#do-note button').click()")
    assert "half a sent" in chromium.script("document.querySelector('.history').innerText")
    assert chromium.script("document.querySelector('.flash.good').innerText") == "The note is saved."
    assert chromium.script("location.search") == "", "said once"


def test_a_refused_form_keeps_its_words_and_the_page_stays_alive(busy: Dashboard, chromium: Chromium) -> None:
    chromium.open(f"{busy.url}/cases/3")
    act.dismiss(busy.world.core, 3, "Ben", "Not for us.", busy.world.now)
    chromium.leave("document.querySelector('#do-respond [name=url]').value = 'https://x.example';"
                   "document.querySelector('#do-respond form').requestSubmit()")  # fmt: skip
    assert "closed" in chromium.script("document.querySelector('.flash.bad').innerText")
    assert "https://x.example" in chromium.script("document.querySelector('.actions').innerText")
    chromium.script("refresh()")
    assert chromium.script("document.getElementById('lost').hidden")


def test_an_ended_session_is_said(busy: Dashboard, chromium: Chromium) -> None:
    chromium.open(busy.url)
    chromium.call("Network.clearBrowserCookies")
    chromium.script("refresh()")
    chromium.until("!document.getElementById('lost').hidden")
    assert "logged out" in chromium.script("document.getElementById('lost').innerText")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_page_looks_right(
    busy: Dashboard, chromium: Chromium, size: tuple[int, int], dark: bool, tmp_path: Path
) -> None:
    chromium.look(*size, dark=dark)
    for path in (*PAGES, "/cases/5", "/cases/9", "/cases/10", "/customers/5", "/me", "/login", "/nothing"):
        chromium.open(f"{busy.url}{path}")
        assert chromium.script("document.documentElement.scrollWidth") <= size[0], f"{path} is too wide"
        assert chromium.script(CONTRAST) == [], path
        assert chromium.script(UNNAMED) == [], path
        assert chromium.script("document.querySelectorAll('h1').length") == 1, path
        assert "owned" not in chromium.script("document.title")
        assert chromium.script("document.querySelectorAll('main img[src=x], main script').length") == 0
        chromium.screenshot(tmp_path / f"{path.strip('/').replace('/', '-') or 'overview'}.png")
    # A refused script or style, an error and a failed request would all stand here.
    refused = [line for line in chromium.console if "404 (Not Found)" not in line and "[DOM]" not in line]
    assert refused == []


def test_the_pages_work_without_scripts(busy: Dashboard, chromium: Chromium) -> None:
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(f"{busy.url}/cases/4")
        assert "left" in chromium.script("document.querySelector('.head-clock').innerText")
        assert "UTC" in chromium.script("document.querySelector('.instants').innerText")
        chromium.leave("document.querySelector('[data-key=claim]').click()")
        assert "The case is yours." in chromium.script("document.body.innerText")
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)
    assert busy.world.case(4).assignee == "Anna"
