"""Finds connectors and responders by their kind, and imports only the one that is asked for.

Our own kinds are the modules of the packages ``connectors`` and ``responders``: file name = kind, names that
start with ``_`` are helpers. Third parties publish entry points ``listener.connectors`` and
``listener.responders``, whose name is the kind and whose value is the class. Where both have
a kind, ours is used.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import inspect
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel

import listener


@dataclass(frozen=True, slots=True)
class _Sort:
    """What connectors and responders differ in."""

    word: str
    package: str
    method: str

    @property
    def group(self) -> str:
        return f"listener.{self.package}"


_CONNECTOR = _Sort("connector", "connectors", "poll")
_RESPONDER = _Sort("responder", "responders", "send")


def connector_class(kind: str) -> type[BaseModel]:
    """The connector of this kind: a pydantic model whose fields are its options and which has ``poll``.

    Raises ``ValueError`` with a plain message when there is none, or when a third party's can't be loaded.
    """
    return _find(_CONNECTOR, kind)


def responder_class(kind: str) -> type[BaseModel]:
    """The responder of this kind: a pydantic model with ``send``. Errors as in ``connector_class``."""
    return _find(_RESPONDER, kind)


def connector_kinds() -> dict[str, str]:
    """Every kind of connector with the first line of its help; imports them all."""
    return _list(_CONNECTOR)


def responder_kinds() -> dict[str, str]:
    """Every kind of responder with the first line of its help; imports them all."""
    return _list(_RESPONDER)


def connector_names() -> list[str]:
    """Every kind of connector, without importing any."""
    return _names(_CONNECTOR)


def responder_names() -> list[str]:
    """Every kind of responder, without importing any."""
    return _names(_RESPONDER)


def foreign_owners() -> list[str]:
    """One line for each other installed distribution that owns an import name of ours (on PyPI some do)."""
    owners = importlib.metadata.packages_distributions()
    return [
        f"the distribution {other!r} also owns the import name {name!r}: uninstall it, or give "
        "Listener an environment of its own"
        for name in ("listener", _CONNECTOR.package, _RESPONDER.package)
        for other in sorted(set(owners.get(name, ())))
        if other.lower().replace("_", "-") != "brand-listener"
    ]


def _list(sort: _Sort) -> dict[str, str]:
    found = {}
    for kind in _names(sort):
        try:
            found[kind] = (inspect.getdoc(_find(sort, kind)) or "").partition("\n")[0]
        except ValueError as error:
            found[kind] = str(error)
    return found


def _names(sort: _Sort) -> list[str]:
    theirs = importlib.metadata.entry_points(group=sort.group).names
    return sorted({*_own_names(sort), *theirs})


def _own_names(sort: _Sort) -> list[str]:
    package = importlib.import_module(sort.package)
    beside = Path(listener.__file__).parents[1] / sort.package
    if package.__file__ is None or Path(package.__file__).parent != beside:
        raise ValueError(
            f"Listener's own {sort.package} are hidden by another package of that name, at "
            f"{package.__file__ or list(package.__path__)}: `listener doctor` says more"
        )
    return [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]


def _find(sort: _Sort, kind: str) -> type[BaseModel]:
    if kind in _own_names(sort):
        return _the_class(sort, importlib.import_module(f"{sort.package}.{kind}"))
    for entry in importlib.metadata.entry_points(group=sort.group, name=kind):
        try:
            found = entry.load()
        except Exception as error:  # a stranger's module may raise anything
            raise ValueError(f"{sort.word} {kind!r} ({entry.value}) can't be loaded: {error!r}") from error
        if not _is_plugin(sort, found):
            raise ValueError(
                f"{sort.word} {kind!r} ({entry.value}) is not a pydantic model with {sort.method!r}"
            )
        return found  # type: ignore[no-any-return]
    names = _names(sort)
    near = difflib.get_close_matches(kind, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    raise ValueError(f"no {sort.word} is called {kind!r}; {hint}")


def _the_class(sort: _Sort, module: ModuleType) -> type[BaseModel]:
    """The one public plug-in that is defined in this module (or below it, when it is a package)."""
    found: list[type[BaseModel]] = [
        value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and _is_plugin(sort, value)
        and f"{value.__module__}.".startswith(f"{module.__name__}.")
    ]
    if len(found) != 1:
        names = ", ".join(c.__name__ for c in found) or "none"
        raise TypeError(
            f"{module.__name__} must define one public model with {sort.method!r}, found: {names}"
        )
    return found[0]


def _is_plugin(sort: _Sort, value: object) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, BaseModel)
        and callable(getattr(value, sort.method, None))
    )
