"""The cost of each run of a study: tokens and FLOPs by arithmetic; a branch costs only what its trunk does not do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.study.recipe.expansion import PlannedRun, StudyGrid
from lilliput.study.recipe.needed_runs import in_levels, located_config
from lilliput.study.store.layout import StudyLayout
from lilliput.study.store.token_counts import text_and_sequences, tokens_of_an_epoch
from lilliput.training.objectives.base import StudyRun
from lilliput.training.run_config import RunConfig
from lilliput.training.trunks import decay_share, group_trunks


@dataclass(frozen=True)
class RunEstimate:
    """One run with what it will cost.

    Attributes:
        run: What it is.
        run_config: Its whole configuration.
        tokens: Its budget in input tokens; None while that is not known.
        flops: Its training FLOPs under each convention.
        trunk: Name of the longest of the runs that share its trunk; empty: none does.
        kept_states: Whole states that it keeps for branches.
        trained_share: The share of its steps that are taken for it; the others are its trunk's.
    """

    run: PlannedRun
    run_config: RunConfig
    tokens: float | None
    flops: Mapping[str, float]
    trunk: str = ""
    kept_states: int = 0
    trained_share: float = 1.0

    @property
    def shape(self) -> str:
        """Return the sizes as E/H/I/A/L."""
        return self.run.shape

    @property
    def data(self) -> str:
        """Return the language whose tokens the run learns."""
        return self.run.language

    @property
    def work(self) -> float:
        """Executed FLOPs; 0 while they are not known."""
        return self.flops.get("flops_executed_masked", 0.0) * self.trained_share

    @property
    def trained_tokens(self) -> float | None:
        """Input tokens that are read for it."""
        return None if self.tokens is None else self.tokens * self.trained_share


def estimate_runs(grid: StudyGrid, layout: StudyLayout) -> list[RunEstimate]:
    """Return the cost of every run of the grid."""
    facts = {language: _store_facts(layout, language) for language in grid.recipe.languages}
    known: dict[str, StudyRun] = {}
    by_name: dict[str, RunEstimate] = {}
    for run in (run for level in in_levels(grid.runs) for run in level):
        one = _estimate_run(grid, run, facts[run.language], known)
        # Of a run that is not trained yet, its name must do for its id.
        known[run.name] = StudyRun(run.name, "", one.run_config.model)
        by_name[run.name] = one
    return _with_trunks([by_name[run.name] for run in grid.runs])


def _store_facts(layout: StudyLayout, language: str) -> Mapping[str, Any]:
    """Return what the token store says of itself; nothing before it is there."""
    store = layout.tokens(language)
    return read_manifest(store, "tokens").facts if is_artefact(store) else {}


def _with_trunks(estimates: Sequence[RunEstimate]) -> list[RunEstimate]:
    """Return the estimates, those of branches reduced to their decay."""
    found = list(estimates)
    by_language: dict[str, list[int]] = defaultdict(list)
    for position, one in enumerate(estimates):
        by_language[one.run.language].append(position)
    for positions in by_language.values():
        for group in group_trunks([estimates[position].run_config for position in positions]):
            for member in group:
                trunk = estimates[positions[group[-1]]].run.name
                one = replace(estimates[positions[member]], trunk=trunk)
                found[positions[member]] = (
                    replace(one, kept_states=len(group) - 1)
                    if member == group[-1]
                    else replace(one, trained_share=decay_share(one.run_config))
                )
    return found


def _estimate_run(
    grid: StudyGrid, run: PlannedRun, facts: Mapping[str, Any], known: Mapping[str, StudyRun]
) -> RunEstimate:
    """Return the cost of one run, from its token store when there is one, else from its budget in tokens."""
    vocab_size = int(facts.get("vocab_size", grid.vocab_size))
    config = located_config(grid.recipe, run, vocab_size, known)
    tokens = run_tokens(config, facts)
    flops = {} if tokens is None else run_flops(config, tokens, facts)
    return RunEstimate(run, config, tokens, flops)


def run_tokens(config: RunConfig, facts: Mapping[str, Any]) -> float | None:
    """Return input tokens of a run; None when that depends on a token store that is not there yet."""
    training = config.training
    if training.max_tokens is not None:
        return float(training.max_tokens)
    if not facts:
        if training.max_steps is None:
            return None
        # Before the texts are known: full sequences, which is the most that it can be.
        return float(training.max_steps * training.global_batch_size * training.max_seq_length)
    if training.max_steps is not None:
        return mean_length(config, facts) * training.global_batch_size * training.max_steps
    epoch = tokens_of_an_epoch(facts, training.max_seq_length)
    return epoch * (training.num_train_epochs or 1.0)


def mean_length(config: RunConfig, facts: Mapping[str, Any]) -> float:
    """Return tokens of a sequence, special ones included; full sequences while the texts are not known."""
    if not facts:
        return float(config.training.max_seq_length)
    text, sequences = text_and_sequences(facts, config.training.max_seq_length)
    return text / sequences + 2


def run_flops(config: RunConfig, tokens: float, facts: Mapping[str, Any]) -> dict[str, float]:
    """Return training FLOPs under each convention, where all sequences have the mean length."""
    training, objective = config.training, config.objective()
    sequences = tokens / mean_length(config, facts)
    predicted = None
    if training.switches.score_padding:
        pads = sequences * training.max_seq_length - tokens
        predicted = tokens * objective.predicted_share + max(0.0, pads)
    return objective.training_flops(sequences=sequences, tokens=tokens, predicted_tokens=predicted)
