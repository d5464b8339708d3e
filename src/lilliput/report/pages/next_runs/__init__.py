"""The page Next runs: what a budget buys, and how well the law predicts."""

from lilliput.report.pages.next_runs.page import build_next_runs

__all__ = ["build_next_runs"]
