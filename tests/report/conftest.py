"""A small study in the layout on disk, made by formulas: no model is trained for these tests."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.core.artefacts import building
from lilliput.core.files import write_json, write_json_lines
from lilliput.report.document import build_pages
from lilliput.report.page import BuiltPage, registered_pages
from lilliput.report.reading.evidence import read_evidence

SHAPES = ["32/32/64/1/1", "32/32/128/2/2", "64/64/256/2/2", "64/64/256/2/4", "128/128/512/4/4"]
VOCAB_SIZE = 2000
ENTROPY = 6.0
EVALUATIONS = 3
TASKS = ("word_order", "coherence", "source")
# Pages of studies that ask a question of their own, which the study of these tests does not.
ON_DEMAND = {"break-and-plateau", "choice-of-data", "distillation", "emergence", "samples"}
PAGES = [page.name for page in registered_pages() if page.name not in ON_DEMAND]
HOSTILE = '</script><img src=x onerror="document.title=1">&amp;<b>bold</b>\u2028=1+1'


class StudyMaker:
    """Writes a study folder; each part can be left out."""

    # Factor of tokens from one evaluation to the next.
    growth = 13.0

    def __init__(
        self,
        folder: Path,
        *,
        seeds: int = 2,
        shapes: list[str] | None = None,
        evaluations: int = EVALUATIONS,
    ) -> None:
        self.folder = folder
        self.shapes = shapes or SHAPES
        self.seeds = seeds
        self.evaluations = evaluations
        self.text = "the small dog ran to the big house and sat down"
        self.family = "grid"

    def whole(self) -> Path:
        """Every part."""
        self.recipe()
        self.vocabulary()
        self.corpora()
        self.tokenizers()
        self.runs()
        self.scores()
        return self.folder

    def recipe(self) -> None:
        recipe = {
            "name": "synthetic",
            "analysis": {"flops": "flops_executed_masked", "resamples": 20},
        }
        write_json(self.folder / "study.json", recipe)

    def vocabulary(self) -> None:
        with building(self.folder / "vocabulary", "vocabulary", 1, {"size": 300}) as build:
            with build.path("words.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["word", "frequency"])
                writer.writerows((f"word{rank}", 10_000 // rank) for rank in range(1, 301))
            build.facts |= {"words": 300, "tokens": 62_000}

    def corpora(self) -> None:
        self.corpus("constrained", {"unknown_word": 300, "too_short": 100}, kept=600)
        self.corpus("unconstrained", {}, kept=620)

    def corpus(self, language: str, dropped: dict[str, int], kept: int) -> None:
        """One corpus with so many spans kept, and dropped by reason."""
        folder = self.folder / "corpora" / language
        with building(folder, "corpus", 1, {"span_words": 110, "language": language}) as build:
            rows = {
                "text": [f"{self.text} {i}" for i in range(20)],
                "doc_id": [f"d{i}" for i in range(20)],
                "source": ["books"] * 20,
                "split": ["train"] * 18 + ["validation", "test"],
                "position": list(range(20)),
            }
            pq.write_table(pa.table(rows), build.path("shards/00000.parquet"))
            reasons = {"text": [self.text, "a tail"], "reason": ["unknown_word", "too_short"]}
            if dropped:
                pq.write_table(pa.table(reasons), build.path("dropped.parquet"))
            write_json(build.path("statistics.json"), {"mean_word_length": 4.1})
            build.facts |= {
                "documents": 20, "spans": kept + sum(dropped.values()), "kept": kept, "duplicates": 3,
                "written": kept - 3, "dropped": dropped, "words": 110 * (kept - 3), "bytes_in": 10**6,
                "mb_per_s": 9.5,
            }  # fmt: skip

    def tokenizers(self) -> None:
        folder = self.folder / "tokenizers" / "constrained" / "comparison"
        candidates = [
            {
                "name": f"{kind}-{size}",
                "kind": kind,
                "vocab_size_asked": size,
                "vocab_size": size,
                "word_split_ratio_isolated": 1.6 - 0.1 * rank,
                "word_split_ratio_in_context": 1.3 - 0.1 * rank,
                "exact_match_score": 0.2 + 0.05 * rank,
                "boundary_f1": 0.4,
                "intervals": {"word_split_ratio_in_context": [1.2 - 0.1 * rank, 1.4 - 0.1 * rank]},
            }
            for rank, size in enumerate((1000, 2000))
            for kind in ("byte-bpe", "wordpiece")
        ]
        with building(folder, "tokenizer_comparison", 1, {}) as build:
            lost = {c["name"]: "splits more words" for c in candidates if c is not candidates[2]}
            picked = {"name": candidates[2]["name"], "rule": "the fewest sub-tokens", "lost": lost}
            record = {"tokenizers": candidates, "picked": picked}
            write_json(build.path("comparison.json"), record)

    def runs(self) -> None:
        rows = [
            row
            for index, shape in enumerate(self.shapes)
            for language in ("constrained", "unconstrained")
            for seed in range(self.seeds)
            for row in self._run(index, shape, language, seed)
        ]
        path = self.folder / "tables" / "measurements.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def _run(self, index: int, shape: str, language: str, seed: int) -> list[dict[str, Any]]:
        sizes = dict(zip(_SIZES, map(int, shape.split("/")), strict=True))
        parameters = self.parameters(shape)
        name = self.name(shape, language, seed)
        noise = np.random.default_rng([index, seed, len(language)]).normal(
            0, 0.01, self.evaluations
        )
        rows: list[dict[str, Any]] = []
        for point in range(self.evaluations):
            tokens = 50_000 * self.growth**point
            flops = 6.0 * parameters * tokens
            floor = 2.0 + 40.0 * parameters**-0.25
            loss = min(ENTROPY, floor + 30.0 * tokens**-0.2) * math.exp(noise[point])
            loss += 0.0 if language == "constrained" else 0.4
            rows.append(
                {
                    "run": name, "family": self.family, "language": language, "profile": "corrected",
                    "layout": "mini-bert", "shape": shape, **sizes, "seed": seed, "step": 10 * (point + 1),
                    "tokens_seen": round(tokens), "is_final": point == self.evaluations - 1, "loss": loss,
                    "loss_reference": 0.7 * loss, "perplexity": math.exp(loss), "bits_per_byte": loss / 3,
                    "flops_reference": 2 * flops, "flops_executed_masked": flops,
                    "num_parameters": parameters, "num_parameters_non_embedding": parameters // 3,
                    "wall_time_s": tokens / 1e5,
                }
            )  # fmt: skip
        self._run_folder(name, rows)
        return rows

    def _run_folder(self, name: str, rows: list[dict[str, Any]]) -> None:
        info = {key: rows[0][key] for key in ("language", "family", "profile", "shape")}
        with building(self.folder / "runs" / name, "run", 1, {"run": name}) as build:
            config = {"model": {"layout": "mini-bert"}, "training": {}, "seed": rows[0]["seed"]}
            write_json(build.path("run.json"), {"config": config, "info": info})
            write_json_lines(build.path("metrics.jsonl"), rows)
            result = {"run_id": name, "loss": rows[-1]["loss"], "unigram_entropy": ENTROPY}
            write_json(build.path("result.json"), result)

    def name(self, shape: str, language: str, seed: int) -> str:
        return f"{shape.replace('/', '-')}-{language}-s{seed}"

    @staticmethod
    def parameters(shape: str) -> int:
        embedding, hidden, intermediate, _, layers = map(int, shape.split("/"))
        return VOCAB_SIZE * embedding + layers * (4 * hidden**2 + 2 * hidden * intermediate)

    def scores(self) -> None:
        for index, shape in enumerate(self.shapes):
            for language in ("constrained", "unconstrained"):
                records = [r for task in TASKS for r in self._scores(index, language, task)]
                name = self.name(shape, language, 0)
                with building(
                    self.folder / "evaluations" / name, "evaluation", 1, {"of": name}
                ) as b:
                    write_json(b.path("scores.json"), records)

    @staticmethod
    def _scores(index: int, language: str, task: str) -> list[dict[str, Any]]:
        gain = {"word_order": 0.03 * index, "coherence": 0.01 * index, "source": 0.0}[task]
        gain += 0.01 if language == "constrained" else 0.0
        start = 0.55
        shared = {
            "task": task,
            "metric": "accuracy",
            "n": 400,
            "seeds": 2,
            "note": "",
            "chance_level": 0.5,
        }
        return [
            {
                **shared, "weights": "trained", "value": start + gain, "low": start + gain - 0.03,
                "high": start + gain + 0.03, "baseline": start, "gain": gain, "gain_low": gain - 0.03,
                "gain_high": gain + 0.03,
            },
            {**shared, "weights": "untrained", "value": start, "low": start - 0.03, "high": start + 0.03},
        ]  # fmt: skip


_SIZES = (
    "embedding_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
)


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., StudyMaker]:
    """A maker of synthetic studies, each in a folder of its own."""

    def make(name: str = "study", **options: Any) -> StudyMaker:
        return StudyMaker(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole synthetic study; read only."""
    return StudyMaker(tmp_path_factory.mktemp("report") / "study").whole()


@pytest.fixture(scope="session")
def hostile() -> str:
    """A text that would act in a page that trusted it."""
    return HOSTILE


def embedded(html: str) -> dict[str, Any]:
    """The data embedded in a report."""
    start = html.index('<script type="application/json" id="report-data">')
    body = html[start:].split(">", 1)[1].split("</script>", 1)[0]
    return json.loads(body)


@pytest.fixture(scope="session")
def data_of() -> Callable[[str], dict[str, Any]]:
    """Reads the embedded data back from a report's text."""
    return embedded


@pytest.fixture(scope="session")
def pages(study: Path) -> list[BuiltPage]:
    """The pages of the whole study."""
    return build_pages(replace(read_evidence(study), command="make it"))
