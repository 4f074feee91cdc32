"""``listener.toml``: what it may say (``models``, ``times``) and how it is read (``reading``).

Every mistake is reported at once, each with its key path. Secrets stay outside of the file.
"""

from listener.config.models import Config, Plugin, Responder, Source
from listener.config.reading import load, parse, read_options
from listener.config.schema import json_schema
from listener.resources import data_dir

__all__ = [
    "Config",
    "Plugin",
    "Responder",
    "Source",
    "example",
    "json_schema",
    "load",
    "parse",
    "read_options",
]


def example() -> str:
    """The commented file that ``listener init`` writes; it passes ``listener check`` as it is."""
    return (data_dir() / "listener.example.toml").read_text(encoding="utf-8")
