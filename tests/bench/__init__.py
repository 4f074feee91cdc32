"""Benchmarks: ratios measured in one run. ``make bench`` runs all; ``make bench ARGS="feeds"`` runs one."""
