"""Text from trained models: causal models go on with a prompt, masked models fill the gaps of a text."""
