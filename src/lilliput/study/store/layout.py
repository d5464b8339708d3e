"""Say where everything of a study lies; all paths are relative to one folder, which can be moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Suites of scores: fine-tuned probes, GLUE, minimal pairs, the study's own multiple choice, published tasks, and
# what context is worth. Each is a folder of the scores of a run.
SUITES = ("probes", "glue", "pairs", "choices", "tasks", "context")
PROBES, GLUE, PAIRS, CHOICES, TASKS, CONTEXT = SUITES


@dataclass(frozen=True)
class StudyLayout:
    """Name the places inside a study folder."""

    root: Path

    @property
    def recipe(self) -> Path:
        """Return the resolved recipe; it is written first and marks the folder as this study's."""
        return self.root / "study.json"

    @property
    def driver(self) -> Path:
        """The lock of the one process that may fill the folder."""
        return self.root / ".driver"

    @property
    def command(self) -> Path:
        """Return the command that last made or enlarged the study; it is no part of its content."""
        return self.root / ".command"

    @property
    def vocabulary(self) -> Path:
        """The list of allowed words."""
        return self.root / "vocabulary"

    def corpus(self, language: str) -> Path:
        """Texts of a language, in shards."""
        return self.root / "corpora" / language

    def words(self, language: str) -> Path:
        """Return the words of a language that uses a part of the vocabulary."""
        return self.root / "vocabularies" / language

    def scores(self, language: str) -> Path:
        """Return all scores of a language's spans, a folder each."""
        return self.root / "scores" / language

    def tokenizer(self, language: str, candidate: str) -> Path:
        """Return a trained tokenizer; `candidate` is KIND-SIZE."""
        return self.root / "tokenizers" / language / candidate

    def tokenizers(self, language: str) -> Path:
        """Return all candidates of a language."""
        return self.root / "tokenizers" / language

    def comparison(self, language: str) -> Path:
        """Return the table of the candidates."""
        return self.tokenizers(language) / "comparison"

    def tokens(self, language: str) -> Path:
        """Return the token store that models are trained from."""
        return self.root / "tokens" / language

    def probes(self, language: str) -> Path:
        """Probe tasks from held-out text."""
        return self.root / "probes" / language

    def choices(self, language: str) -> Path:
        """Return the multiple-choice tasks from held-out text."""
        return self.root / "choices" / language

    def glue(self, task: str) -> Path:
        """Return a GLUE task under the vocabulary."""
        return self.root / "glue" / task

    @property
    def search(self) -> Path:
        """The sweep that found learning rates: its result, and its short runs."""
        return self.root / "search"

    @property
    def runs(self) -> Path:
        """All runs, a folder each."""
        return self.root / "runs"

    @property
    def groups(self) -> Path:
        """Return which runs are trained as one: the study's part of the execution plan."""
        return self.root / "groups.json"

    def run(self, run_id: str) -> Path:
        """Return one trained model with its curve."""
        return self.runs / run_id

    def evaluation(self, run_id: str, suite: str) -> Path:
        """Scores of one run on one suite of tasks (probes, glue, pairs, choices, context)."""
        return self.root / "evaluations" / run_id / suite

    @property
    def tables(self) -> Path:
        """Tidy tables of all measurements and scores."""
        return self.root / "tables"

    @property
    def analysis(self) -> Path:
        """Fits, frontier, cost-effectiveness, correlations."""
        return self.root / "analysis"

    @property
    def samples(self) -> Path:
        """Texts of the causal models."""
        return self.root / "samples"

    @property
    def emergence(self) -> Path:
        """Verdicts on emergence, and sizes at equal score."""
        return self.root / "emergence"

    @property
    def report(self) -> Path:
        """Return the page of the report."""
        return self.root / "report.html"


@dataclass(frozen=True)
class SearchLayout(StudyLayout):
    """The same places, with the runs of the learning-rate search apart from the study's own."""

    @property
    def runs(self) -> Path:
        """The short runs, a folder each."""
        return self.search / "runs"

    @property
    def groups(self) -> Path:
        """Return which short runs are trained as one."""
        return self.search / "groups.json"
