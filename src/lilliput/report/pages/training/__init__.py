"""Build the page Training: curves of the loss, final losses and learning rates."""

from lilliput.report.pages.training.page import build_training

__all__ = ["build_training"]
