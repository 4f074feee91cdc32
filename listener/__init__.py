"""Listener hears customers who complain in public and makes sure that each gets a real answer in time."""

__version__ = "0.1.0"
