"""``make bench``: every benchmark, or the named ones. Each prints its ratios and the goal that it has."""

from __future__ import annotations

import importlib
import sys

NAMES = ("start", "feeds", "latency", "pipeline", "names", "memory", "cases", "alarms")


def main(wanted: list[str]) -> None:
    unknown = set(wanted) - set(NAMES)
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    for name in wanted or NAMES:
        print(f"== {name}", flush=True)
        module = "feeds" if name == "latency" else "pipeline" if name in ("names", "memory") else name
        getattr(importlib.import_module(f"tests.bench.{module}"), name)()


if __name__ == "__main__":
    main(sys.argv[1:])
