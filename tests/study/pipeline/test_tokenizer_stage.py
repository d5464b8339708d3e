"""The stage that trains, compares and encodes: gold segmentations come from the recipe."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.core.artefacts import building
from lilliput.core.errors import InputError
from lilliput.core.executors import make_executor
from lilliput.core.files import read_json
from lilliput.core.progress import SILENT
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.pipeline.stages.tokenizers import build_tokenizers
from lilliput.study.recipe.expansion import expand_recipe
from lilliput.study.recipe.loading import load_recipe
from lilliput.study.store.layout import StudyLayout


def _context(recipe_file: Path, root: Path, *assignments: str) -> StudyContext:
    layout = StudyLayout(root)
    texts = ["we were cooking and walking", "they walked and she cooks"] * 20
    columns = {"text": texts, "split": ["train", "train", "validation", "validation"] * 10}
    with building(layout.corpus("invented"), "corpus", 1, {}) as build:
        pq.write_table(pa.table(columns), build.path("shards/00000.parquet"))
    recipe = load_recipe(str(recipe_file), assignments)
    return StudyContext(expand_recipe(recipe), layout, make_executor("inline"), SILENT)


def _scored_words(context: StudyContext) -> int:
    path = context.layout.comparison("invented") / "comparison.json"
    return read_json(path)["tokenizers"][0]["boundary_words"]


def test_candidates_are_scored_on_the_words_that_the_recipe_names(
    recipe_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "gold.tsv").write_text("cooking\tcook ing\nwalked\twalk ed\nsings\tsing s\n")
    context = _context(
        recipe_file,
        tmp_path / "study",
        f"paths.gold={tmp_path}",
        "tokenizers.morphology={gold}/gold.tsv",
    )
    build_tokenizers(context)
    assert _scored_words(context) == 2, "the third word is not in the corpus"
    assert (context.layout.tokens("invented") / "manifest.json").is_file()


def test_without_a_file_the_words_of_the_paper_are_used(recipe_file: Path, tmp_path: Path) -> None:
    context = _context(recipe_file, tmp_path / "study")
    build_tokenizers(context)
    assert _scored_words(context) == 13


def test_a_missing_file_is_refused_before_anything_is_trained(
    recipe_file: Path, tmp_path: Path
) -> None:
    context = _context(recipe_file, tmp_path / "study", "tokenizers.morphology=nowhere.tsv")
    with pytest.raises(InputError, match="tokenizers.morphology must exist: got nowhere.tsv"):
        build_tokenizers(context)
    assert not context.layout.tokenizers("invented").exists()
