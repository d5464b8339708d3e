"""Spans of documents that a vocabulary admits: the rule, its plain form, and the fast scanner."""
