"""The pipeline: every stage of a study in order, from raw text to the report, its status and live progress."""
