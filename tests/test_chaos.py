"""kill -9 at random moments, at a count that fits into a test run. The long one: ``python -m tests.chaos``."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.__main__ import check


@pytest.mark.timeout(300)
def test_killed_at_random_moments_it_ends_with_what_an_undisturbed_run_has(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)  # printed, and shown when the test fails
    assert check(tmp_path, kills=4, entries=250, seed=seed) == []
