"""Probe tasks made from held-out text alone, so that any language and any corpus has them."""

from lilliput.evaluation.probes.build import PROBES_KIND, PROBES_SCHEMA, build_probes
from lilliput.evaluation.probes.makers import make_coherence, make_source, make_word_order
from lilliput.evaluation.probes.windows import DocumentWindows, Window

__all__ = [
    "PROBES_KIND",
    "PROBES_SCHEMA",
    "DocumentWindows",
    "Window",
    "build_probes",
    "make_coherence",
    "make_source",
    "make_word_order",
]
