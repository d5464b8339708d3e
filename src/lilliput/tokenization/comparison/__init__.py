"""Tokenizers measured on the same words, put into one table, and one of them picked by a stated rule."""
