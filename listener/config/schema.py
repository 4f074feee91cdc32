"""The JSON Schema of ``listener.toml``, for editors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from listener import registry
from listener.config.models import Config

_SECRET = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "env": {"type": "string", "description": "name of an environment variable"},
        "file": {"type": "string", "description": "path of a file, relative to this one"},
    },
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, with the options of every kind that is installed."""
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    for place, key, kinds in (
        ("Source", "connector", _loaded(registry.connector_names(), registry.connector_class)),
        ("Responder", "kind", _loaded(registry.responder_names(), registry.responder_class)),
    ):
        definitions[place]["properties"][key]["enum"] = list(kinds)
        definitions[place]["allOf"] = [
            {
                "if": {"properties": {key: {"const": kind}}, "required": [key]},
                "then": _with_options(_options(model, f"{place}-{kind}", definitions)),
            }
            for kind, model in kinds.items()
        ]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "listener.toml"
    return _with_references(schema)  # type: ignore[no-any-return]


def _with_options(options: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"options": options}, "required": ["options"] if options.get("required") else []}


def _loaded(names: list[str], find: Callable[[str], type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """The kinds that can be loaded; `listener connectors` says why another's can't."""
    found = {}
    for name in names:
        with contextlib.suppress(ValueError):
            found[name] = find(name)
    return found


def _options(model: type[BaseModel], prefix: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a plug-in's options, whose own definitions move beside ours."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}-{{model}}")
    for name, inner in schema.pop("$defs", {}).items():
        definitions[f"{prefix}-{name}"] = inner
    if "$ref" not in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def _with_references(schema: Any) -> Any:
    """The same with every secret as a reference: in the file it never stands in clear."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "password":
        return {**{key: schema[key] for key in ("title", "description") if key in schema}, **_SECRET}
    return {key: _with_references(value) for key, value in schema.items()}
