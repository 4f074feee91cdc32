"""The mistakes in a configuration: where each is, what is wrong, and what was probably meant."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]  # keys and places in lists, from the top of the file


def suggest(word: str, known: Iterable[str]) -> str:
    """``; did you mean "x"?``, or what there is."""
    known = sorted(known)
    near = difflib.get_close_matches(word.casefold(), [k.casefold() for k in known], n=1)
    if near:
        return f'; did you mean "{next(k for k in known if k.casefold() == near[0])}"?'
    return f"; there are: {', '.join(known)}" if known else "; none is defined"


def leaves(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, without containers and unions."""
    parts = get_args(annotation)
    if not parts:
        yield annotation
    for part in parts:
        yield from leaves(part)


def models(types: Iterable[Any]) -> list[type[BaseModel]]:
    return [t for t in types if isinstance(t, type) and issubclass(t, BaseModel)]


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the key that a file uses for them."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


class Problems:
    """Collects mistakes of the file whose content is ``raw``."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self._found: dict[tuple[Path, str], None] = {}
        self.secrets: set[str] = set()  # never to be shown, whatever a message says

    def add(self, path: Path, message: str) -> None:
        self._found[path, message] = None

    def add_invalid(self, error: ValidationError, model: type[BaseModel], above: Path = ()) -> None:
        """Adds what pydantic found in the part of the file at ``above``, which ``model`` reads."""
        said = {path for path, _ in self._found}
        for found in error.errors(include_url=False):
            path = tuple(part for part in found["loc"] if part != "[key]")
            if (*above, *path) in said:
                continue  # that it is unknown, or that the stand-in of a secret is too short, is no news
            match found["type"]:
                case "missing":
                    info = self._fields_at(model, path[:-1]).get(str(path[-1]))
                    help_text = f": {info.description}" if info and info.description else ""
                    message = f"is missing{help_text}"
                case "extra_forbidden":
                    message = f"unknown key{suggest(str(path[-1]), self._fields_at(model, path[:-1]))}"
                case "value_error":
                    message = str(found.get("ctx", {}).get("error", found["msg"]))
                case _:
                    message = re.sub(r"^Input should be", "must be", found["msg"])
                    if isinstance(found["input"], dict) and found["input"].keys() <= {"env", "file"}:
                        message += "; only secrets can come from the environment or a file"
            self.add((*above, *path), message)

    @staticmethod
    def _fields_at(model: type[BaseModel], path: Path) -> dict[str, FieldInfo]:
        here = [model]
        for part in path:
            inner = [info for m in here for key, info in fields(m).items() if key == part]
            if inner:
                here = models(t for info in inner for t in leaves(info.annotation))
        return {key: info for m in here for key, info in fields(m).items()}

    def lines(self) -> list[str]:
        """One line a mistake, with its key path, in the order of the paths."""
        found = sorted(self._found, key=lambda item: [(isinstance(p, str), p) for p in item[0]])
        return [
            f"{self._place(path)}: {self._safe(message)}" if path else self._safe(message)
            for path, message in found
        ]

    def _safe(self, message: str) -> str:
        for secret in self.secrets:
            if len(secret) >= 4:  # a shorter one is in any message by chance, and hiding it would tell where
                message = message.replace(secret, "***")
        return message

    def _place(self, path: Path) -> str:
        """``sources[2] "town-forum".options.url``: places in lists count from 0."""
        text, value = "", self._raw
        for part in path:
            try:
                value = value[part]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                value = {}
            if isinstance(part, int):
                text += f"[{part}]"
                if isinstance(value, dict) and isinstance(value.get("name"), str):
                    text += f" {json.dumps(value['name'], ensure_ascii=False)}"
            else:
                key = part if re.fullmatch(r"[\w-]+", part) else json.dumps(part, ensure_ascii=False)
                text += f".{key}" if text else key
        return text
