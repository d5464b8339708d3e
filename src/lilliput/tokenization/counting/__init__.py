"""A corpus read as counted and numbered words, by a compiled scanner."""
