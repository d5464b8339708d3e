"""Laws by names that a sentence can carry."""

from __future__ import annotations

from lilliput.core.wording import plural

LAW_NAMES = {
    "power": "power law",
    "power_offset": "power law above a floor",
    "log_quadratic": "curved power law",
    "segmented": "broken power law, joined",
    "segmented_jumps": "broken power law with jumps",
    "bnsl": "smoothly broken power law",
}


def law_label(law: str, n_breaks: int) -> str:
    """A law in words, with its number of breaks."""
    name = LAW_NAMES.get(law, law)
    return f"{name} ({plural(n_breaks, 'break')})" if n_breaks else name
