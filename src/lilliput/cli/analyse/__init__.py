"""`lilliput analyse`: its commands, how their results read on a terminal, and checks of tables."""

from lilliput.cli.analyse.commands import register

__all__ = ["register"]
