"""Minimal pairs as a stage of a study."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from lilliput.core.files import read_json, read_json_lines
from lilliput.evaluation.pairs.reading import find_paradigms, read_paradigm
from lilliput.language import read_vocabulary
from lilliput.study import load_recipe, run_study

PARADIGMS, PAIRS = 3, 60
# The first of these runs is one of the recipe's own, which are scored.
UNSCORED = """
[[grid]]
languages = ["invented"]
shapes = ["8/8/16/1/1"]
scored = false

[[grid]]
languages = ["invented"]
shapes = ["8/8/16/1/1"]
variant = "quiet"
model = { norm_position = "pre" }
scored = false
"""


@pytest.fixture(scope="module")
def with_pairs(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small recipe with three paradigms of sixty pairs over its words, some foreign ones, and runs not scored."""
    folder = tmp_path_factory.mktemp("pairs")
    texts = [line["text"] for line in read_json_lines(recipe_file.with_name("text.jsonl"))]
    for paradigm in range(PARADIGMS):
        words = texts[paradigm].rstrip(".").split()
        pairs = [
            {"sentence_good": f"{a} {b} {c}", "sentence_bad": f"{c} {b} {a}"}
            for text in texts[paradigm * 20 : paradigm * 20 + 20]
            for a, b, c in [text.rstrip(".").split()[i : i + 3] for i in (0, 3, 6)]
        ]
        assert len(pairs) == PAIRS
        pairs += [{"sentence_good": f"{words[0]} Xylem", "sentence_bad": f"Xylem {words[0]}"}] * 5
        lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
        (folder / f"order_{paradigm}.jsonl").write_text(lines)
    recipe = folder / "small.toml"
    table = f'\n[pairs]\ndata = "{folder}"\nname = "order"\nscoring = {{ max_pairs = 40 }}\n'
    recipe.write_text(recipe_file.read_text() + table + UNSCORED)
    return recipe


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_study_scores_pairs_and_tabulates_their_mean(with_pairs, tmp_path):
    out = tmp_path / "study"
    recipe = load_recipe(str(with_pairs), ["training.max_steps=20"])
    run_study(recipe, out, executor="inline")

    table = rows(out / "tables" / "scores.csv")
    assert {row["task"] for row in table} == {"order"}
    assert len(table) == 4 * 2  # Runs, each from both starts.
    words = read_vocabulary(out / "vocabulary").words
    for run in {row["run"] for row in table}:
        scores = read_json(out / "evaluations" / run / "pairs" / "scores.json")
        parts = [s for s in scores if s["task"] != "mean" and s["weights"] == "trained"]
        assert [part["n"] for part in parts] == [40] * PARADIGMS
        assert "xylem" not in words
        [row] = [r for r in table if r["run"] == run and r["weights"] == "trained"]
        assert float(row["value"]) == pytest.approx(sum(p["value"] for p in parts) / PARADIGMS)
    measured = rows(out / "tables" / "measurements.csv")
    final = [row for row in measured if row["is_final"] == "true"]
    assert len(final) == 5
    for row in final:
        assert bool(row["score_order"]) == (row["family"] != "invented corrected quiet")

    before = {path: path.stat().st_mtime_ns for path in (out / "evaluations").rglob("*")}
    run_study(recipe, out, executor="inline")
    assert before == {path: path.stat().st_mtime_ns for path in (out / "evaluations").rglob("*")}


def test_the_sample_of_a_paradigm_is_the_same_every_time(with_pairs):
    paradigm = read_paradigm(find_paradigms(with_pairs.parent)[0])
    sample = paradigm.sampled(20)
    assert sample == paradigm.sampled(20)
    assert len(set(sample.numbers)) == 20
    assert list(sample.numbers) == sorted(sample.numbers)
    assert sample.total == paradigm.total
    for pair, number in zip(sample.pairs, sample.numbers, strict=True):
        assert pair == paradigm.pairs[paradigm.numbers.index(number)]
    assert paradigm.sampled(10_000) == paradigm
