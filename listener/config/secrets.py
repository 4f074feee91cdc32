"""Secrets: ``{ env = "NAME" }`` or ``{ file = "path" }`` in the file, filled in before validation."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from listener.config.problems import Path, Problems, fields, leaves, models

_UNKNOWN = "unknown"  # stands in for a secret that could not be read, which is a problem already


def fill(model: type[BaseModel], data: Any, base: pathlib.Path, problems: Problems, above: Path = ()) -> Any:
    """A copy of ``data``, which ``model`` reads, with its secrets in place.

    A field is a secret when its type has pydantic's ``SecretStr`` in it. Paths of files are relative to ``base``.
    Secrets in clear, variables that are not set and files that can't be read are added to ``problems``.
    """
    return _fill([model], data, base, problems, above)


def _fill(types: Iterable[Any], value: Any, base: pathlib.Path, problems: Problems, path: Path) -> Any:
    types = list(types)
    if SecretStr in types or SecretBytes in types:
        if isinstance(value, str):
            problems.secrets.add(value)
            key = path[-1]
            problems.add(
                path,
                f'a secret can\'t stand here in clear: write {key} = {{ env = "NAME" }} or {{ file = "path" }}',
            )
            return _UNKNOWN
        if isinstance(value, dict) and value and value.keys() <= {"env", "file"}:
            return _read(value, base, problems, path)
    if isinstance(value, list):
        return [_fill(types, item, base, problems, (*path, i)) for i, item in enumerate(value)]
    if isinstance(value, dict):
        inside = models(types)
        known = {key: info for model in inside for key, info in fields(model).items()}
        filled = {}
        for key, item in value.items():
            below = leaves(known[key].annotation) if key in known else () if inside else types
            filled[key] = _fill(below, item, base, problems, (*path, key))
        return filled
    return value


def _read(reference: dict[str, Any], base: pathlib.Path, problems: Problems, path: Path) -> str:
    if len(reference) > 1:
        problems.add(path, "give env or file, not both")
        return _UNKNOWN
    ((how, name),) = reference.items()
    if not isinstance(name, str) or not name:
        problems.add((*path, how), "must be a name in quotes")
        return _UNKNOWN
    if how == "env":
        secret, where = os.environ.get(name, ""), f"the environment variable {name}"
        if name not in os.environ:
            problems.add(path, f"{where} is not set")
            return _UNKNOWN
    else:
        where = f"the file {base / name}"
        try:
            secret = (base / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            problems.add(path, f"can't read {where}: {why}")
            return _UNKNOWN
    if not secret:
        problems.add(path, f"{where} is empty")
        return _UNKNOWN
    problems.secrets.add(secret)
    return secret
