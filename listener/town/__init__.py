"""The demo's sample town: a small web site on loopback where people write by a script, at a hurried clock.

Nothing here posts anything. What the town shows is a function of the script, the start and the present
instant, so a page fetched twice at one instant is the same page, and a test can look at any hour of any day.
"""

from listener.town.script import DEMO, Post, Script
from listener.town.site import QuickClock, Town

__all__ = ["DEMO", "Post", "QuickClock", "Script", "Town"]
