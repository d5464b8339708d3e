"""Run all stages of a study in order, from raw text to report, with status and live progress."""
