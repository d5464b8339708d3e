"""Show two studies or tables over each other, as one page."""

from lilliput.report.side_by_side.page import side_by_side_pages

__all__ = ["side_by_side_pages"]
