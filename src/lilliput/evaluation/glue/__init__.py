"""Filter GLUE or any benchmark of its form by a vocabulary, fine-tune on it, and average scores."""
