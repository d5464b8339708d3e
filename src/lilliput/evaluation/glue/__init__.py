"""GLUE and any benchmark of its form: filtered by a vocabulary, fine-tuned on, averaged."""
