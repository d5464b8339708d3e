"""Fine-tune classifiers on top of a trained encoder, for many seeds at once."""
