"""Reads ``listener.toml``: every mistake in it is found in one go."""

from __future__ import annotations

import functools
import pathlib
import tomllib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from listener import registry
from listener.config import secrets
from listener.config.models import Config, Plugin, Responder, Source
from listener.config.problems import Path, Problems, fields, suggest
from listener.errors import ConfigError

RESERVED = ("assignee", "duty", "off")  # words in the place of a name


def load(path: pathlib.Path) -> Config:
    """The configuration in this file. Raises ``ConfigError`` with every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors write a byte order mark
    except FileNotFoundError:
        raise ConfigError(
            str(path), ["there is no such file; `listener init` writes one to start from"]
        ) from None
    except OSError as error:
        raise ConfigError(str(path), [f"can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not UTF-8 text: byte {error.start} can't be read"]) from error
    return parse(text, str(path), path.absolute().parent)


def parse(text: str, place: str, base: pathlib.Path) -> Config:
    """The configuration in this text. ``place`` names it in errors; paths in it are relative to ``base``.

    Raises ``ConfigError`` with every mistake in it.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(place, [f"is not TOML: {error}"]) from error
    problems = Problems(raw)
    data = secrets.fill(Config, raw, base, problems)
    built = _build_all(data, base, problems)
    _check_names(raw, problems)
    config = None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems.add_invalid(error, Config)
    found = problems.lines()
    if found or config is None:
        raise ConfigError(place, found)
    for source, connector in zip(config.sources, built["sources"], strict=True):
        source._built = connector
    for responder, model in zip(config.responders.values(), built["responders"], strict=True):
        responder._built = model
    config._base = base
    return config


def read_options(
    model: type[BaseModel], options: dict[str, Any], base: pathlib.Path, place: str
) -> BaseModel:
    """The connector or responder that these options make, read as in a file. Raises ``ConfigError``."""
    problems = Problems(options)
    built = _build(model, options, base, problems, ())
    found = problems.lines()
    if found or built is None:
        raise ConfigError(place, found)
    return built


def _build_all(
    data: dict[str, Any], base: pathlib.Path, problems: Problems
) -> dict[str, list[BaseModel | None]]:
    """Every connector and responder, with None for those that have problems."""
    kinds: list[tuple[str, str, type[Plugin], Callable[[str], type[BaseModel]]]] = [
        ("sources", "connector", Source, registry.connector_class),
        ("responders", "kind", Responder, registry.responder_class),
    ]
    built: dict[str, list[BaseModel | None]] = {}
    for section, key, ours, find in kinds:
        built[section] = []
        find = functools.cache(find)  # sources are many, kinds are few
        for path, table in _tables(data, section):
            kind, options = table.get(key), table.get("options", {})
            if not isinstance(kind, str) or not isinstance(options, dict):
                continue  # the section's own model says so
            try:
                model = find(kind)
            except ValueError as error:
                problems.add((*path, key), str(error))
                continue
            for misplaced in sorted(table.keys() & (fields(model).keys() - fields(ours).keys())):
                problems.add((*path, misplaced), f"is an option of {kind}: it belongs into options")
            built[section].append(_build(model, options, base, problems, (*path, "options")))
    return built


def _build(
    model: type[BaseModel], options: dict[str, Any], base: pathlib.Path, problems: Problems, path: Path
) -> BaseModel | None:
    # A plug-in that forgot to forbid unknown keys would ignore a misspelt option without a word.
    if model.model_config.get("extra") != "allow":
        for key in options.keys() - fields(model).keys():
            problems.add((*path, key), f"unknown key{suggest(key, fields(model))}")
    try:
        return model.model_validate(secrets.fill(model, options, base, problems, path))
    except ValidationError as error:
        problems.add_invalid(error, model, path)
        return None


def _check_names(raw: dict[str, Any], problems: Problems) -> None:
    """Each name that is used must be defined, and each that is defined only once."""
    brands = _unique(raw, "brands", problems)
    _unique(raw, "sources", problems)
    people, groups = _keys(raw, "people"), _keys(raw, "groups")
    policies = {*_keys(raw, "policies"), "default"}

    def check(path: Path, names: object, word: str, known: Iterable[str]) -> None:
        for i, name in enumerate(names if isinstance(names, list) else [names]):
            if isinstance(name, str) and name not in known:
                at = (*path, i) if isinstance(names, list) else path
                problems.add(at, f'no {word} is called "{name}"{suggest(name, known)}')

    for path, brand in _tables(raw, "brands"):
        check((*path, "policy"), brand.get("policy"), "policy", policies)
    for path, source in _tables(raw, "sources"):
        check((*path, "policy"), source.get("policy"), "policy", policies)
        check((*path, "brand"), source.get("brand"), "brand", brands)
    callable_names = {*people, *groups, "assignee", "duty"}
    for path, policy in _tables(raw, "policies"):
        check((*path, "calendar"), policy.get("calendar"), "calendar", _keys(raw, "calendars"))
        check((*path, "third_call"), policy.get("third_call"), "person or group", callable_names)
        for step_path, step in _tables(policy, "steps"):
            check((*path, *step_path, "call"), step.get("call"), "person or group", callable_names)
    duty = raw.get("duty")
    if isinstance(duty, dict):
        for path, person in _tables(duty, "people"):
            check(("duty", *path, "name"), person.get("name"), "person", people)
            check(("duty", *path, "deputy"), person.get("deputy"), "person", people)
            calendar = ("duty", *path, "calendar")
            check(calendar, person.get("calendar"), "calendar", _keys(raw, "calendars"))
        for path, override in _tables(duty, "overrides"):
            check(("duty", *path, "person"), override.get("person"), "person", {*people, "off"})
            check(("duty", *path, "away"), override.get("away"), "person", people)
    for name in sorted({*people, *groups} & set(RESERVED)):
        problems.add(("people" if name in people else "groups", name), "is a word with a meaning of its own")
    for name in sorted(people & groups):
        problems.add(("groups", name), "a person has this name already")
    for path, handles in _tables(raw, "people"):
        for kind in handles.keys() - {*registry.responder_names(), "email"}:
            problems.add((*path, kind), f"unknown key{suggest(kind, {*registry.responder_names(), 'email'})}")
    for name in sorted(groups):
        check(("groups", name), raw["groups"][name], "person", people)
    alerts = raw.get("alerts")
    if isinstance(alerts, dict):
        check(("alerts", "fallback"), alerts.get("fallback"), "responder", _keys(raw, "responders"))


def _tables(raw: dict[str, Any], section: str) -> list[tuple[Path, dict[str, Any]]]:
    """The tables of a section, which is a list or a table of tables, each with its path; others are left out."""
    value = raw.get(section)
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, list):
        items = enumerate(value)
    elif isinstance(value, dict):
        items = value.items()
    return [((section, key), table) for key, table in items if isinstance(table, dict)]


def _keys(raw: dict[str, Any], section: str) -> set[str]:
    value = raw.get(section)
    return set(value) if isinstance(value, dict) else set()


def _unique(raw: dict[str, Any], section: str, problems: Problems) -> set[str]:
    seen: set[str] = set()
    for path, table in _tables(raw, section):
        name = table.get("name")
        if isinstance(name, str):
            if name in seen:
                problems.add((*path, "name"), f'"{name}" is used twice')
            seen.add(name)
    return seen
