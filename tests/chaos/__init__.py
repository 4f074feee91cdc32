"""kill -9 at random moments: whatever dies, nothing is lost, doubled or half-written. ``python -m tests.chaos``."""
