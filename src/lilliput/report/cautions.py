"""What a fit warns of, in the words of the report: laws by their names, and commands in full."""

from __future__ import annotations

import re

from lilliput.analysis import LawFit
from lilliput.report.laws import LAW_NAMES, law_label

# Longer names first, so that none is read as a part of itself; "power law" is words already.
_LAW = re.compile(
    rf"\b({'|'.join(sorted(LAW_NAMES, key=len, reverse=True))})\b(?! law)(?: with (\d+) breaks?)?"
)
_OPTION = re.compile(r"(--after-step(?: \d+)?)")
_COVERAGE = re.compile(r"\(in \d+ of \d+ simulated studies instead of \d+\)")


def cautions_of(fit: LawFit) -> list[str]:
    """The warnings of a fit in words."""
    return [in_words(warning) for warning in fit.warnings]


def in_words(warning: str) -> str:
    """A warning with laws by their names, the command of its options, and true minus signs."""
    named = _LAW.sub(lambda found: f"the {law_label(found[1], int(found[2] or 0))}", warning)
    told = named.replace("the the ", "the ").replace("BIC -", "BIC −")
    return _OPTION.sub(lambda found: f"“lilliput analyse fit TABLE {_option(found[1])}”", told)


def _option(given: str) -> str:
    return given if given[-1].isdigit() else f"{given} N"


def coverage_caveat(fit: LawFit) -> str:
    """How often intervals of a frontier hold the truth, in one sentence; empty where it is not told."""
    found = next((found for warning in fit.warnings if (found := _COVERAGE.search(warning))), None)
    if found is None:
        return ""
    return f"Intervals on a frontier hold the truth less often than they say {found[0]}."
