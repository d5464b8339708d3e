"""Compression: how much of a span is left when what repeats in it is taken out."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.language.scores.base import SpanScorer, register_scorer

_LEVEL = 9


@register_scorer
class Compression(SpanScorer):
    """Divide the bytes of a span's UTF-8 text after raw DEFLATE at level 9 by those before.

    A low ratio means that the span repeats itself. The ratio depends on the length of a span too, since short
    ones have little to repeat: compare spans of like length.
    """

    name = "compression"
    description = "Bytes after compression over bytes before; low where a span repeats itself."

    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return the ratio of each span; NaN for an empty one."""
        return np.array([_ratio(text) for text in spans.column("text").to_pylist()])


def _ratio(text: str) -> float:
    data = text.encode("utf-8", "surrogatepass")
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(packer.compress(data) + packer.flush()) / len(data) if data else float("nan")
