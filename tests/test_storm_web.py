"""A storm on the dashboard, in the figures for Prometheus, and in the lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.dashboard import served
from tests.test_storm_service import Weather


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Weather]:
    world = Weather(tmp_path)
    world.settled()
    world.hear(world.mention("before"))
    world.later(hours=1)
    world.run(1, each=12)
    yield world
    world.close()


def test_the_overview_has_a_banner_while_it_is_on(world: Weather) -> None:
    with served(world) as dashboard:
        dashboard.log_in()
        page = dashboard.text("/")
        assert "Many complaints: <bdi>Halcyon</bdi>" in page
        assert '<a href="/cases?storm=1">12 cases, 12 open</a>' in page
        assert "24 an hour, usually fewer than 1" in page
        world.run(70)
        assert "Many complaints" not in dashboard.text("/")


def test_its_cases_can_be_listed(world: Weather) -> None:
    with served(world) as dashboard:
        dashboard.log_in()
        page = dashboard.text("/cases?storm=1")
        assert page.count('class="row"') == 12
        assert 'name="storm" value="1"' in page
        assert 'href="/cases/1"' not in page
        assert "There is no storm 7." in dashboard.text("/cases?storm=7", status=400)
        assert len(json.loads(dashboard.text("/api/cases?storm=1"))["cases"]) == 12


def test_prometheus_sees_it(world: Weather) -> None:
    with served(world) as dashboard:
        families = text_string_to_metric_families(dashboard.client.get("/metrics").text)
        found = [(s.labels, s.value) for f in families if f.name == "listener_storm" for s in f.samples]
    assert found == [({"brand": "Halcyon"}, 12)]
