"""Hold the command line, one file a verb: each only parses, calls the room's function and prints.

Verb modules import nothing heavy at their top, so that `lilliput --help` is instant.
"""

from lilliput.cli._frame import main

__all__ = ["main"]
