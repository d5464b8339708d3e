"""A causal run beside the masked one, each with its export."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.evaluation.conftest import Line, train_run

from lilliput.study.publishing.export import export_run


@pytest.fixture(scope="session")
def causal_run(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal run of sixty steps, so that its texts are not one token over and over."""
    out = tmp_path_factory.mktemp("causal") / "run"
    recipe = {"objective": "causal_lm", "max_steps": 60, "save_steps": (60,)}
    return train_run(out, line.tokens, layout="llama", **recipe)


@pytest.fixture(scope="session")
def causal_export(line: Line, causal_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("causal-export") / "model"
    return export_run(causal_run, out, tokenizer=line.tokenizer).path


@pytest.fixture(scope="session")
def masked_run(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked run in a layout that transformers knows without code of ours."""
    out = tmp_path_factory.mktemp("masked") / "run"
    return train_run(out, line.tokens, layout="electra", max_steps=20, save_steps=(20,))
