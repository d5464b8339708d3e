"""Scores with their intervals: metrics, averages, comparisons of two models, and curves along a run."""
