"""The page Cost: which shapes are worth their compute."""

from lilliput.report.pages.cost.page import build_cost

__all__ = ["build_cost"]
