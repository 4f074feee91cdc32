"""``python -m listener`` is the command ``listener``."""

import sys

from listener.cli import main

sys.exit(main())
