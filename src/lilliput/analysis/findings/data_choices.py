"""Compare orders and pruned corpora with their controls: differences of final loss, paired by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from lilliput.analysis.coefficients import holm
from lilliput.analysis.findings.comparisons import final_loss
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.runs import Run
from lilliput.core.hashing import content_id
from lilliput.core.intervals import mean_interval

ChoiceKind = Literal["order", "pruning"]
SHUFFLED = "shuffled order"


@dataclass(frozen=True)
class DataChoice:
    """Hold the difference that one choice of data makes against another, for one shape in one setting.

    Attributes:
        kind: order or pruning.
        choice: What was chosen, such as "rarity, up" or the name of a pruned language.
        against: What it is compared with.
        setting: What both share beside the shape: language and variant.
        shape: Shape of the models.
        is_control: Whether the choice is a control, which should make no difference.
        difference: Final loss of the choice minus that of the other in nats, mean over seeds, with Student's
            interval of paired differences.
        p_value: Of the paired t test; None from fewer than two seeds.
        stands: Whether the difference is significant after Holm among all of its kind and shape.
    """

    kind: ChoiceKind
    choice: str
    against: str
    setting: str
    shape: str
    is_control: bool
    difference: Quantity
    p_value: float | None
    stands: bool = False


def find_data_choices(runs: Sequence[Run], recipe: Mapping[str, Any]) -> tuple[DataChoice, ...]:
    """Return every order against the shuffled one, and every pruned language against its controls.

    Runs are paired that share shape, seed, and every setting but the one that is compared. Losses of pruned
    languages are those on the whole language's held-out text, in the same tokens.

    Args:
        runs: Runs of a study, with their configurations.
        recipe: The study's resolved recipe.
    """
    finished = [
        run for run in runs if run.is_finished and _training(run) and final_loss(run) is not None
    ]
    found = [*_orders(finished), *_prunings(finished, recipe.get("languages") or {})]
    families: dict[tuple[str, str], list[int]] = {}
    for place, choice in enumerate(found):
        if choice.p_value is not None and not choice.is_control:
            families.setdefault((choice.kind, choice.shape), []).append(place)
    for places in families.values():
        p_values = [p for place in places if (p := found[place].p_value) is not None]
        for place, stands in zip(places, holm(p_values), strict=True):
            found[place] = replace(found[place], stands=stands)
    return tuple(found)


def _training(run: Run) -> Mapping[str, Any]:
    config = run.config.get("config") or {}
    return config.get("training") or {}


def _key(run: Run, *left_out: str) -> str:
    """Return what names a run but for its seed and these keys of its training settings."""
    config = dict(run.config["config"])
    training = {name: value for name, value in config["training"].items() if name not in left_out}
    return content_id({**config, "training": training, "seed": 0})


def _order_of(run: Run) -> Mapping[str, Any]:
    return _training(run).get("order") or {}


def _orders(runs: Sequence[Run]) -> Iterator[DataChoice]:
    groups: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for run in runs:
        key = run.facets.get("language", ""), _key(run, "order")
        groups.setdefault(key, {}).setdefault(_order_label(_order_of(run)), []).append(run)
    for group in groups.values():
        base = group.get(SHUFFLED)
        for label, members in group.items():
            if base and label != SHUFFLED:
                is_control = _order_of(members[0]).get("direction") == "shuffled"
                yield _difference("order", label, SHUFFLED, members, base, is_control)


def _order_label(order: Mapping[str, Any]) -> str:
    if order.get("name", "shuffled") == "shuffled":
        return SHUFFLED
    parts = [str(order.get("by", order["name"]))]
    direction = str(order.get("direction", ""))
    parts.append("dealt scores" if direction == "shuffled" else direction)
    if order.get("sampler") == "competence":
        parts.append(f"competence, {order.get('pacing')}")
    return ", ".join(part for part in parts if part)


def _prunings(runs: Sequence[Run], languages: Mapping[str, Any]) -> Iterator[DataChoice]:
    pruned = {name: table["pruned"] for name, table in languages.items() if table.get("pruned")}
    groups: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        groups.setdefault(_key(run), {}).setdefault(run.facets.get("language", ""), []).append(run)
    for group in groups.values():
        for name, table in pruned.items():
            if name not in group:
                continue
            is_control = str(table["keep"]).startswith("random")
            others = [table["of"]] if is_control else [*_controls(name, table, pruned), table["of"]]
            for other in others:
                if other in group:
                    yield _difference("pruning", name, other, group[name], group[other], is_control)


def _controls(name: str, table: Mapping[str, Any], pruned: Mapping[str, Any]) -> list[str]:
    """Return the languages pruned at random at the same rate, those of the same mix of sources first."""
    mix = [other for other, each in pruned.items() if each.get("like") == name]
    plain = [
        other
        for other, each in pruned.items()
        if each["keep"] == "random" and (each["of"], each["rate"]) == (table["of"], table["rate"])
    ]
    return [*mix, *plain]


def _difference(
    kind: ChoiceKind,
    choice: str,
    against: str,
    one: Sequence[Run],
    other: Sequence[Run],
    is_control: bool,
) -> DataChoice:
    losses = [
        {run.facets.get("seed", ""): final_loss(run) for run in runs} for runs in (one, other)
    ]
    seeds = sorted(losses[0].keys() & losses[1].keys())
    differences = np.array([(losses[0][s] or 0.0) - (losses[1][s] or 0.0) for s in seeds])
    facets = other[0].facets
    setting = [facets.get("language", "") if kind == "order" else "", facets.get("variant", "")]
    return DataChoice(
        kind=kind,
        choice=choice,
        against=against,
        setting=" ".join(part for part in setting if part),
        shape=facets.get("shape", ""),
        is_control=is_control,
        difference=(
            Quantity.from_interval(mean_interval(differences, unit="seeds"))
            if seeds
            else Quantity(None, note="no seed in common")
        ),
        p_value=_paired_p_value(differences),
    )


def _paired_p_value(differences: np.ndarray[Any, Any]) -> float | None:
    if len(differences) < 2:
        return None
    error = float(np.std(differences, ddof=1)) / np.sqrt(len(differences))
    if error == 0:
        return 1.0 if not differences.any() else 0.0
    return float(2 * stats.t.sf(abs(differences.mean()) / error, len(differences) - 1))
