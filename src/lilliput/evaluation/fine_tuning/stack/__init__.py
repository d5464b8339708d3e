"""Classifiers of one shape as one computation: the seeds of a task, fine-tuned and read together."""

from __future__ import annotations

from lilliput.evaluation.fine_tuning.stack.members import ClassifierStack

__all__ = ["ClassifierStack"]
