"""init, check, schema, connectors, responders, version."""

from __future__ import annotations

import argparse
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from listener.cli.output import count, paragraphs, say, table
from listener.cli.parts import Commands, command, config_file, read_config
from listener.errors import ConfigError, ListenerError, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel


def add(commands: Commands) -> None:
    start = command(commands, "init", init, "write a commented configuration to start from", "listener init")
    start.add_argument("file", nargs="?", type=Path, help="where to (default: as --config)")
    command(commands, "check", check, "say whether the configuration is right, or all that is wrong in it",
            "listener check --config listener.toml")  # fmt: skip
    command(commands, "schema", schema, "print the JSON Schema of the configuration, for editors",
            "listener schema > listener.schema.json")  # fmt: skip
    for sort in ("connector", "responder"):
        kinds = command(commands, f"{sort}s", plugins, f"list the kinds of {sort}s, or one with its options",
                        f"listener {sort}s", f"listener {sort}s {EXAMPLES[sort]}", sort=sort)  # fmt: skip
        kinds.add_argument("kind", nargs="?", help="one kind, with its help and its options")
    command(commands, "version", version, "print the version")


EXAMPLES = {"connector": "rss", "responder": "slack"}


def init(args: argparse.Namespace) -> int:
    from listener import config

    file = args.file or config_file(args)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(config.example())
    except FileExistsError:
        raise UsageError(f"{file} exists already; name a new file, or delete it first") from None
    except OSError as error:
        raise ListenerError(f"{file} can't be written: {error.strerror}") from error
    say(
        f"Wrote {file}. Next:\n"
        "  1. put your brand, a contact and your sources into it (listener connectors lists the kinds)\n"
        "  2. listener check   says whether it is right\n"
        "  3. listener run     listens, and serves the dashboard"
    )
    return 0


def check(args: argparse.Namespace) -> int:
    from listener.service import replies
    from listener.triage import REASONS

    config = read_config(args)
    folder = config.reply_folder()
    if wrong := replies.problems(folder, sorted({*REASONS, *config.triage.reasons})):
        raise ConfigError(str(folder), wrong)
    parts = [
        count(len(config.brands), "brand"),
        count(len(config.sources), "source"),
        count(len(config.responders), "responder"),
        f"policies: {', '.join(sorted({'default', *config.policies}))}",
    ]
    say(f"{config_file(args)} is right: {', '.join(parts)}.")
    for text in config.warnings():
        say(f"warning: {text}")
    return 0


def schema(args: argparse.Namespace) -> int:
    from listener import config

    say(json.dumps(config.json_schema(), indent=2, ensure_ascii=False))
    return 0


def version(args: argparse.Namespace) -> int:
    import listener

    say(f"listener {listener.__version__}")
    return 0


def plugins(args: argparse.Namespace) -> int:
    from listener import registry

    find, kinds = {
        "connector": (registry.connector_class, registry.connector_kinds),
        "responder": (registry.responder_class, registry.responder_kinds),
    }[args.sort]
    try:
        if args.kind is None:
            table(["kind", "what it is"], kinds().items(), empty=f"There are no {args.sort}s.")
            return 0
        model = find(args.kind)
    except ValueError as error:
        raise UsageError(str(error)) from error
    say(inspect.getdoc(model) or "")
    say()
    options(model)
    return 0


def options(model: type[BaseModel]) -> None:
    """Print the options of a connector or responder, and what each is."""
    described = model.model_json_schema()
    required = described.get("required", [])
    shared = described.get("$defs", {})
    rows = []
    for name, field in described.get("properties", {}).items():
        default = field.get("default")
        if name in required:
            told = "(required)"
        else:
            told = "" if default is None else default if isinstance(default, str) else json.dumps(default)
        rows.append((name, kind_of(field, shared), told, field.get("description", "")))
    if not rows:
        say("It has no options.")
        return
    # Not a table: a description is what people come for, so it is never cut.
    for name, kind, told, description in rows:
        say(f"{name}  {kind}{f'  {told}' if told == '(required)' else f'  = {told}' if told else ''}")
        for line in paragraphs(description):
            say(f"    {line}")


def kind_of(field: dict[str, Any], shared: dict[str, Any]) -> str:
    """What a value of this field is, in words, from its JSON Schema."""
    if "enum" in field:
        return " | ".join(str(v) for v in field["enum"])
    if "const" in field:
        return str(field["const"])
    if "$ref" in field:
        return kind_of(shared.get(field["$ref"].rpartition("/")[2], {}), shared)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in field:
            return " | ".join(
                dict.fromkeys(kind_of(f, shared) for f in field[key] if f.get("type") != "null")
            )
    match field.get("type"), field.get("format"):
        case _, "password":
            return "secret"
        case "string", "uri":
            return "URL"
        case "string", _:
            return "text"
        case "integer", _:
            return "whole number"
        case "number", _:
            return "number"
        case "boolean", _:
            return "true | false"
        case "array", _:
            return f"list of {kind_of(field.get('items', {}), shared)}"
        case "object", _:
            return "table"
    return "any"
