"""What an export leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Exported:
    """Where an export lies, and its layout: a Hugging Face `model_type`, or "parquet" for a corpus."""

    path: Path
    layout: str

    def as_record(self) -> dict[str, str]:
        """The keys of the command line's contract."""
        return {"path": str(self.path), "layout": self.layout}
