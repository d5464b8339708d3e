"""Build the page Scaling: the compute-optimal frontier and the laws of loss against compute."""

from lilliput.report.pages.scaling.page import build_scaling

__all__ = ["build_scaling"]
