"""Minimal pairs: which of two sentences that differ in one point a model finds more likely."""
