"""Finding connectors and responders: our own by file name, third parties' by entry point."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
from pydantic import BaseModel

import connectors
import responders
from listener import registry

PLUGIN = '''
from pydantic import BaseModel
from connectors.zz_base import Base

class Page_(BaseModel):
    """Not a plug-in."""

class Moon(BaseModel):
    """Complaints from the moon.

    More help.
    """
    crater: str
    def poll(self, http, cursor): ...

class _Half(Moon):
    pass
'''
BASE = '''
from pydantic import BaseModel

class Base(BaseModel):
    """A base."""
    def poll(self, http, cursor): ...
'''


@pytest.fixture
def forget_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[2].startswith("zz_") or name.startswith("zz_"):
            del sys.modules[name]
            vars(connectors).pop(name.partition(".")[2], None)


@pytest.fixture
def own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_modules: None
) -> Callable[[str, str], None]:
    """Puts a file among our own connectors."""
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path)])

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(dedent(text))

    return write


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_modules: None) -> Callable[..., None]:
    """Installs a distribution with one module and these entry points."""

    def install(entry_points: str, module: str = PLUGIN, name: str = "zz-other", top_level: str = "") -> None:
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(dedent(entry_points))
        (info / "top_level.txt").write_text(top_level)
        (tmp_path / "zz_other.py").write_text(module.replace("from connectors.zz_base import Base", ""))
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


@pytest.mark.parametrize(
    ("package", "load", "kinds", "method"),
    [
        (connectors, registry.connector_class, registry.connector_kinds, "poll"),
        (responders, registry.responder_class, registry.responder_kinds, "send"),
    ],
    ids=["connectors", "responders"],
)
def test_each_own_kind_loads_and_explains_itself(
    package: ModuleType,
    load: Callable[[str], type[BaseModel]],
    kinds: Callable[[], dict[str, str]],
    method: str,
) -> None:
    names = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
    helps = kinds()
    assert names <= set(helps)
    for kind in names:
        assert callable(getattr(load(kind), method))
        assert helps[kind], f"{kind} has no docstring"


def test_the_file_name_is_the_kind(own_file: Callable[[str, str], None]) -> None:
    own_file("zz_base.py", BASE)
    own_file("zz_moon.py", PLUGIN)
    own_file("_zz_helper.py", "raise RuntimeError('not asked for')")
    found = registry.connector_class("zz_moon")
    assert (found.__module__, found.__name__) == ("connectors.zz_moon", "Moon")
    assert registry.connector_kinds()["zz_moon"] == "Complaints from the moon."
    assert not any("helper" in kind for kind in registry.connector_kinds())


def test_a_kind_may_be_a_package(own_file: Callable[[str, str], None]) -> None:
    own_file("zz_base.py", BASE)
    own_file("zz_far/__init__.py", "from connectors.zz_far.message import Moon")
    own_file("zz_far/message.py", PLUGIN)
    assert registry.connector_class("zz_far").__name__ == "Moon"


def test_only_the_kind_that_is_asked_for_is_imported(own_file: Callable[[str, str], None]) -> None:
    own_file("zz_base.py", BASE)
    own_file("zz_broken.py", "raise RuntimeError('imported')")
    registry.connector_class("zz_base")
    with pytest.raises(RuntimeError, match="imported"):
        registry.connector_class("zz_broken")


def test_a_module_without_one_plug_in_is_a_bug_with_a_name(own_file: Callable[[str, str], None]) -> None:
    own_file("zz_base.py", BASE)
    own_file("zz_none.py", "from connectors.zz_base import Base")
    own_file("zz_two.py", BASE + "class Second(Base): ...\n")
    with pytest.raises(TypeError, match="zz_none must define one public model with 'poll', found: none"):
        registry.connector_class("zz_none")
    with pytest.raises(TypeError, match="found: Base, Second"):
        registry.connector_class("zz_two")


def test_third_parties_publish_entry_points(third_party: Callable[..., None]) -> None:
    third_party("""
        [listener.connectors]
        zz-moon = zz_other:Moon
        zz-gone = zz_missing:Moon
        zz-wrong = zz_other:Page_
    """)
    assert registry.connector_class("zz-moon").__name__ == "Moon"
    with pytest.raises(ValueError, match=r"'zz-gone' \(zz_missing:Moon\) can't be loaded: ModuleNotFound"):
        registry.connector_class("zz-gone")
    with pytest.raises(ValueError, match=r"'zz-wrong' .* is not a pydantic model with 'poll'"):
        registry.connector_class("zz-wrong")
    kinds = registry.connector_kinds()
    assert kinds["zz-moon"] == "Complaints from the moon."
    assert "can't be loaded" in kinds["zz-gone"]
    assert "zz-moon" not in registry.responder_kinds()


def test_an_unknown_kind_gets_a_suggestion(third_party: Callable[..., None]) -> None:
    third_party("[listener.connectors]\nzz-moon = zz_other:Moon\n")
    with pytest.raises(ValueError, match=r"no connector is called 'zz-mon'; did you mean 'zz-moon'"):
        registry.connector_class("zz-mon")
    with pytest.raises(ValueError, match=r"no connector is called 'q'; there are: .*zz-moon"):
        registry.connector_class("q")


@pytest.mark.parametrize("kind", ["", ".", "../x", "os.path", "__init__", "_helper"])
def test_a_kind_never_imports_anything_else(kind: str) -> None:
    with pytest.raises(ValueError, match="no responder is called"):
        registry.responder_class(kind)


def test_another_distribution_with_our_import_name_is_named(third_party: Callable[..., None]) -> None:
    assert not any("zz-other" in line for line in registry.foreign_owners())
    third_party("", top_level="connectors\nzz_other\n")
    (line,) = [line for line in registry.foreign_owners() if "zz-other" in line]
    assert "'zz-other' also owns the import name 'connectors'" in line


def test_a_package_that_hides_ours_is_said(tmp_path: Path) -> None:
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors" / "__init__.py").touch()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from listener.registry import *; connector_class('rss')"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert "Listener's own connectors are hidden by another package of that name" in done.stderr
