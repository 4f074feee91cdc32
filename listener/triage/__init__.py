"""Pure: the verdict of a text (language, sentiment, complaint or not, reason, severity, and why), near-duplicates.

The language libraries are imported at the first verdict only, so that importing this costs next to nothing.
"""

from listener.triage.duplicates import near_duplicate
from listener.triage.lines import score_lines
from listener.triage.verdict import REASONS, Triage, TriageSettings

__all__ = ["REASONS", "Triage", "TriageSettings", "near_duplicate", "score_lines"]
