"""Describe the result of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Exported:
    """Say where an export lies, and its layout: a Hugging Face `model_type`, or "parquet" for a corpus."""

    path: Path
    layout: str

    def as_record(self) -> dict[str, str]:
        """Return the keys of the command line's contract."""
        return {"path": str(self.path), "layout": self.layout}
