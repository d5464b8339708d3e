"""The page Downstream: scores, what pre-training gave, and what the loss predicts."""

from lilliput.report.pages.downstream.page import build_downstream

__all__ = ["build_downstream"]
