"""Where the files are that come with Listener: the example configuration, the demo, the reply templates."""

from __future__ import annotations

from pathlib import Path

import listener


def data_dir() -> Path:
    """The folder ``config/``: inside the package when Listener is installed, beside it in a checkout."""
    package = Path(listener.__file__).parent
    installed = package / "_config"
    return installed if installed.is_dir() else package.parent / "config"
