"""Texts encoded as token ids, and whole corpora encoded into the token store."""
