"""Scores and tasks in the forms that other evaluation tools read."""
