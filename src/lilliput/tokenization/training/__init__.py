"""Tokenizers trained on the train split of a corpus: the kinds, their training text, and what the trainers learned."""
