"""The page Training: curves of the loss, final losses and learning rates."""
