"""One wheel holds everything, and works in an empty environment away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # No isolation: the build backend is in this environment, so that a test run needs no network.
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("brand_listener-*.whl")
    return built


def test_the_wheel_holds_the_packages_and_their_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"listener", "connectors", "responders"}
    for wanted in (
        "listener/_config/listener.example.toml",
        "listener/_config/demo/listener.toml",
        "listener/_config/demo/town.toml",
        "listener/storage/migrations/versions/0001_start.py",
        "listener/triage/words/de.toml",
        "connectors/rss.py",
        "responders/slack/__init__.py",
        "listener/py.typed",
    ):
        assert wanted in names
    assert any(n.startswith("listener/web/templates/") for n in names)
    assert any(n.startswith("listener/web/static/") for n in names)


def test_it_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Our code comes from the wheel; the dependencies are lent by a path file, for fetching them takes minutes."""
    home = tmp_path / "env"
    venv.create(home, with_pip=False, symlinks=True)
    site = next((home / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    lent = [p for p in sys.path if p.endswith("site-packages")]
    (site / "lent.pth").write_text("\n".join(lent))
    away = tmp_path / "away"
    away.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(away), "USER": "tester"}

    def listener(*words: str) -> str:
        done = subprocess.run(
            [home / "bin" / "python", "-P", "-m", "listener", *words],
            cwd=away,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = subprocess.run(
        [
            home / "bin" / "python",
            "-P",
            "-c",
            "import listener, connectors; print(listener.__file__, connectors.__file__)",
        ],
        cwd=away,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(ROOT) not in where
    listener("init")
    assert (away / "listener.toml").exists()
    listener("check")
    assert "rss" in listener("connectors")
    assert "slack" in listener("responders")
    assert "A sample town" in listener("demo", "--minutes", "0.02", "--no-web")
    assert listener("cases", "--json") == ""
