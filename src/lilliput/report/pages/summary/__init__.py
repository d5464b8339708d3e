"""The page Summary: every question of the study with its answer."""

from lilliput.report.pages.summary.page import build_summary

__all__ = ["build_summary"]
