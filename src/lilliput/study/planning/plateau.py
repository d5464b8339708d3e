"""Say before a study whether its longest runs will leave the plateau of token frequencies.

A masked language model first learns how frequent each token is, and stays there for a number of steps that depends on
its positions, initial weights and learning rate far more than on its size. A frontier of runs that end there says when
runs leave, not how loss falls with compute. Example:

    planned    learned positions, 1,102 steps
    known      of 66 runs with learned positions none had left within 1,102 steps
    said       likely to end on the plateau

What is known comes from finished runs of the same study where there are comparable ones, else from the list below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lilliput.analysis.findings.learning import plateau_crossing
from lilliput.core.files import read_json_lines
from lilliput.core.wording import plural
from lilliput.study.planning.estimates import RunEstimate
from lilliput.study.store.layout import StudyLayout
from lilliput.training.objectives.masked_lm import MaskedLM

# A rate is like another one within this factor; beyond it, runs leave at another time.
_LIKE_RATE = 3.0
# Families that a warning names.
_SHOWN = 3


@dataclass(frozen=True)
class KnownExit:
    """Hold what is known of runs that are alike in what decides when they leave the plateau.

    Attributes:
        positions: `position_embedding_type` of the model.
        norm: `norm_position`.
        initialization: The switch.
        profile: The training profile.
        learning_rate: Peak of the schedule.
        runs: How many there were.
        left: How many of them left the plateau.
        steps: Fewest steps at which one left; where none did, the steps that they were trained for.
        tokens_a_place: The same in tokens divided by the sequences of a step.
        source: Where that is known from, in words.
    """

    positions: str
    norm: str
    initialization: str
    profile: str
    learning_rate: float
    runs: int
    left: int
    steps: float
    tokens_a_place: float
    source: str


_TWO_PROFILES = "the built-in record of two-profiles"
_PILOTS = "the built-in record of the pilots of break"
# results/two-profiles/tables/runs.csv: 16 sequences a step, up to 128 tokens, vocabulary 8,000; docs/notebook.md: 16
# sequences of 32 tokens, vocabulary 1,500. The shapes have 0.1 to 2 million parameters.
KNOWN_EXITS = (
    KnownExit("learned", "post", "normal", "corrected", 5e-4, 20, 0, 1102, 75_000, _TWO_PROFILES),
    KnownExit("learned", "post", "normal", "corrected", 2e-3, 6, 0, 1102, 75_000, _TWO_PROFILES),
    KnownExit("learned", "post", "xavier", "corrected", 5e-4, 2, 0, 1102, 75_000, _TWO_PROFILES),
    KnownExit("learned", "pre", "normal", "corrected", 2e-3, 20, 0, 1102, 75_000, _TWO_PROFILES),
    KnownExit("learned", "post", "xavier", "reference", 5e-4, 20, 0, 1102, 84_100, _TWO_PROFILES),
    KnownExit("rotary", "pre", "xavier", "corrected", 4e-3, 20, 18, 422, 28_700, _TWO_PROFILES),
    KnownExit("rotary", "pre", "normal", "corrected", 4e-3, 2, 1, 1000, 67_900, _TWO_PROFILES),
    KnownExit("rotary", "pre", "xavier", "reference", 4e-3, 8, 0, 1102, 84_100, _TWO_PROFILES),
    KnownExit("learned", "pre", "normal", "corrected", 2e-3, 2, 0, 2512, 73_500, _PILOTS),
    KnownExit("rotary", "pre", "xavier", "corrected", 4e-3, 1, 1, 700, 20_500, _PILOTS),
    KnownExit("rotary", "pre", "xavier", "corrected", 5e-4, 1, 1, 1480, 43_300, _PILOTS),
    KnownExit("rotary", "pre", "normal", "corrected", 4e-3, 1, 1, 1280, 37_500, _PILOTS),
)


@dataclass(frozen=True)
class PlateauForecast:
    """Hold whether the longest runs of a family will leave the plateau.

    Attributes:
        family: The family.
        runs: Its runs.
        steps: Steps of its longest run; None where the budget is in tokens or epochs.
        tokens: Its budget in tokens; None where that is not known.
        comparable: Runs that it was compared with.
        left: How many of them left the plateau.
        known_steps: Fewest steps at which one of them left; where none did, the most that one was trained for.
        likely_to_stay: Whether the longest run is likely to end on the plateau; None where nothing is known of so long a run.
        basis: What this rests on, in words.
    """

    family: str
    runs: int
    steps: int | None
    tokens: float | None
    comparable: int
    left: int
    known_steps: float | None
    likely_to_stay: bool | None
    basis: str

    @property
    def statement(self) -> str:
        """Return what there is to warn of, without the family's name; empty where there is nothing."""
        if not self.likely_to_stay:
            return ""
        budget = f"{self.steps:,} steps" if self.steps is not None else f"{self.tokens:,.0f} tokens"
        known = f"{self.known_steps:,.0f} steps"
        runs = plural(self.comparable, "comparable run")
        if self.left:
            seen = f"of {runs} the first left after {known}"
        elif self.comparable > 1:
            seen = f"none of {runs} had left within {known}"
        else:
            seen = f"the one comparable run had not left within {known}"
        return f"the longest run has {budget}, and {seen} ({self.basis})"


def plateau_warnings(forecasts: Sequence[PlateauForecast]) -> list[str]:
    """Return one warning for the families of which the same is known; none where no family is likely to stay."""
    families: dict[str, list[str]] = {}
    for forecast in forecasts:
        if forecast.statement:
            families.setdefault(forecast.statement, []).append(forecast.family)
    warnings: list[str] = []
    for statement, names in families.items():
        shown = "; ".join(names[:_SHOWN])
        others = f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        warnings.append(
            f"this budget is likely to end on the plateau of token frequencies, in {shown}{others}: {statement}"
        )
    return warnings


def forecast_plateaus(
    estimates: Sequence[RunEstimate], layout: StudyLayout
) -> tuple[PlateauForecast, ...]:
    """Return for each family of masked language models whether its longest runs will leave the plateau.

    Args:
        estimates: Every run of the study.
        layout: Its folder; finished runs in it are read.
    """
    families: dict[str, list[RunEstimate]] = {}
    for one in estimates:
        if isinstance(one.run_config.objective(), MaskedLM):
            families.setdefault(one.run.family, []).append(one)
    finished = list(_finished_exits(layout))
    return tuple(_forecast(name, members, finished) for name, members in families.items())


def _forecast(
    family: str, members: Sequence[RunEstimate], finished: Sequence[KnownExit]
) -> PlateauForecast:
    longest = max(members, key=lambda one: (_steps(one) or 0, one.tokens or 0.0))
    steps, tokens = _steps(longest), longest.tokens
    batch = longest.run_config.training.global_batch_size
    known = _comparable(longest, finished) or _comparable(longest, KNOWN_EXITS)
    stays = None
    left = [one for one in known if one.left]
    # Where some left, the first of them; where none did, the longest that was waited for.
    one = (
        min(left, key=lambda each: each.steps)
        if left
        else max(known, key=lambda each: each.steps, default=None)
    )
    if one is not None:
        if steps is not None:
            share = steps / one.steps
        elif tokens is not None:
            share = tokens / batch / one.tokens_a_place
        else:
            share = None
        if share is not None:
            # Beyond the longest of runs that all stayed, nothing is known.
            stays = share < 1.0 if left else (True if share <= 1.0 else None)
    return PlateauForecast(
        family,
        len(members),
        steps,
        tokens,
        sum(each.runs for each in known),
        sum(each.left for each in known),
        None if one is None else one.steps,
        stays,
        "; ".join(dict.fromkeys(each.source for each in known)),
    )


def _steps(one: RunEstimate) -> int | None:
    return one.run_config.training.max_steps


def _comparable(one: RunEstimate, known: Iterable[KnownExit]) -> list[KnownExit]:
    """Return what is known of runs with the same positions and initial weights at a like learning rate.

    With learned positions, runs at other rates and with other initial weights count too: within what is known, none
    of them makes a difference.
    """
    model, training = one.run_config.model, one.run_config.training
    positions, start = model.position_embedding_type, training.switches.initialization
    rate = training.learning_rate
    alike = [each for each in known if each.positions == positions]
    close = [
        each
        for each in alike
        if (each.initialization, each.profile) == (start, training.profile)
        and each.norm == model.norm_position
        and 1 / _LIKE_RATE <= rate / each.learning_rate <= _LIKE_RATE
    ]
    return close or (alike if positions == "learned" else [])


def _finished_exits(layout: StudyLayout) -> Iterator[KnownExit]:
    """Yield when each finished run of the study left the plateau, or for how long it did not.

    Settings are those of the index, so that of a finished run only its curve is opened.
    """
    if not layout.runs.is_dir():
        return
    from lilliput.study.store.index import run_index

    for run in run_index(layout.runs.parent).to_pylist():
        if run["state"] != "done" or run.get("unigram_entropy") is None:
            continue
        points = read_json_lines(layout.runs / run["run_id"] / "metrics.jsonl")
        points.sort(key=lambda each: each["step"])
        if points:
            yield _exit_of(run, points)


def _exit_of(run: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> KnownExit:
    """Return the exit of a run from its row of the index and its curve."""
    losses = [point["loss"] for point in points]
    steps, tokens = (
        plateau_crossing([point[name] for point in points], losses, float(run["unigram_entropy"]))
        for name in ("step", "tokens_seen")
    )
    last = points[-1]
    return KnownExit(
        run["model.position_embedding_type"],
        run["model.norm_position"],
        run["training.switches.initialization"],
        run["training.profile"],
        run["training.learning_rate"],
        1,
        int(steps is not None),
        last["step"] if steps is None else steps,
        (last["tokens_seen"] if tokens is None else tokens) / run["training.global_batch_size"],
        "finished runs of this study",
    )
