"""Use of context by causal models: the loss late in a document against early, and copying a repeated sequence."""
