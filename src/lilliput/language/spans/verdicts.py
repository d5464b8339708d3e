"""The verdicts on a span: it is kept, or dropped with a reason."""

KEPT, UNKNOWN_WORDS, TOO_SHORT, OVERLAP = range(4)

# Reasons as they stand in manifests and reports.
REASONS = {
    UNKNOWN_WORDS: "unknown_words",
    TOO_SHORT: "too_short",
    OVERLAP: "overlap",
}
