"""Every error a user can meet: one sentence with the rule, what came, and what would work."""

from __future__ import annotations

from typing import ClassVar


class LilliputError(Exception):
    """An answer to bad input or a failed run, never a traceback.

    Args:
        rule: What must hold, in the user's words.
        got: What came instead.
        remedy: What would work, as a complete sentence.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 2

    def __init__(self, rule: str, *, got: object = None, remedy: str = "") -> None:
        self.rule = rule.rstrip(".:")
        self.got = "" if got is None else str(got)
        self.remedy = remedy
        super().__init__(self.rule, self.got, self.remedy)

    def __str__(self) -> str:
        sentence = f"{self.rule}: got {self.got}." if self.got else f"{self.rule}."
        return f"{sentence} {self.remedy}".rstrip()

    def as_record(self) -> dict[str, str]:
        """Return the error object of the command line's JSON contract."""
        return {"code": self.code, "rule": self.rule, "got": self.got, "try": self.remedy}

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.rule, self.got, self.remedy))


def _rebuild(kind: type[LilliputError], rule: str, got: str, remedy: str) -> LilliputError:
    """Rebuild an error that crossed a process border."""
    error = kind.__new__(kind)
    LilliputError.__init__(error, rule, got=got or None, remedy=remedy)
    return error


class ConfigurationError(LilliputError):
    """Raised when a recipe, an option or a shape breaks a rule."""

    code = "configuration"


class InputError(LilliputError):
    """Raised when a file, table or text given by the user cannot be used."""

    code = "input"


class EmptyCorpusError(InputError):
    """Raised when nothing is left after filtering."""

    code = "empty_corpus"


class MissingExtraError(LilliputError):
    """Raised when an optional dependency is not installed."""

    code = "missing_extra"


class ArtefactError(LilliputError):
    """Raised when an artefact on disk is damaged, of another schema, or unlike its manifest."""

    code = "artefact"


class OccupiedFolderError(ArtefactError):
    """Raised when the folder holds something else."""

    code = "occupied_folder"


class DiskFullError(LilliputError):
    """Raised when the disk is full or a file may not be written."""

    code = "disk"


class SystemRefusalError(LilliputError):
    """Raised when the operating system refuses to read, to write or to connect."""

    code = "system"


class OutOfMemoryError(LilliputError):
    """Raised when the memory of this machine does not suffice."""

    code = "memory"


class NonFiniteLossError(LilliputError):
    """Raised when training diverges; names step, learning rate and the last good checkpoint."""

    code = "non_finite_loss"


class RunsFailedError(LilliputError):
    """Raised when some runs of a study failed; the others are whole."""

    code = "runs_failed"
    exit_code = 3
