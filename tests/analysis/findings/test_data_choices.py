"""Orders and pruned corpora against their controls: paired by seed, corrected for their number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lilliput.analysis.findings.data_choices import find_data_choices
from lilliput.analysis.findings.runs import Run

UP = {"name": "curriculum", "by": "rarity", "direction": "up", "sampler": "buckets"}
DEALT = UP | {"direction": "shuffled"}
SHUFFLED = {"name": "shuffled"}
LANGUAGES = {
    "whole": {},
    "low": {"pruned": {"of": "whole", "keep": "low", "rate": 0.5, "by": "ngram"}},
    "any": {"pruned": {"of": "whole", "keep": "random", "rate": 0.5}},
    "mix": {"pruned": {"of": "whole", "keep": "random-mix", "rate": 0.5, "like": "low"}},
    "quarter": {"pruned": {"of": "whole", "keep": "random", "rate": 0.25}},
}


def run(
    loss: float, seed: int, order: dict | None = None, language: str = "whole", shape: str = "a"
) -> Run:
    config = {"model": {"shape": shape}, "training": {"order": order or SHUFFLED}, "seed": seed}
    facets = {"language": language, "shape": shape, "seed": str(seed), "variant": ""}
    return Run(
        f"{seed}{order}{language}{shape}",
        facets,
        {},
        {"loss": loss},
        True,
        config={"config": config},
    )


def test_differences_are_paired_by_seed():
    base, up = [5.0, 5.4, 4.8], [4.9, 5.25, 4.72]
    runs = [run(x, s) for s, x in enumerate(base)] + [run(x, s, UP) for s, x in enumerate(up)]
    (found,) = find_data_choices(runs, {})
    assert (found.choice, found.against, found.is_control) == (
        "rarity, up",
        "shuffled order",
        False,
    )
    expected = np.array(up) - base
    assert found.difference.value == pytest.approx(expected.mean())
    assert found.p_value == pytest.approx(stats.ttest_rel(up, base).pvalue)
    half = stats.t.ppf(0.975, 2) * expected.std(ddof=1) / np.sqrt(3)
    assert found.difference.high == pytest.approx(expected.mean() + half)


def test_a_pruned_language_meets_its_mix_its_rate_and_the_whole():
    runs = [run(5.0 + 0.1 * s, s, language=name) for name in LANGUAGES for s in (0, 1)]
    found = {
        (c.choice, c.against): c.is_control
        for c in find_data_choices(runs, {"languages": LANGUAGES})
    }
    assert found == {
        ("low", "mix"): False,
        ("low", "any"): False,
        ("low", "whole"): False,
        ("any", "whole"): True,
        ("mix", "whole"): True,
        ("quarter", "whole"): True,
    }


def test_nothing_stands_more_often_than_holm_allows():
    """Of 200 studies without an effect, ten orders each, few claim any; with an effect of 5 sd most do."""
    rng = np.random.default_rng(0)
    claims = {0.0: 0, 0.05: 0}
    for effect in claims:
        for _ in range(200):
            runs = [run(5 + rng.normal(0, 0.01), s) for s in range(4)]
            for number in range(10):
                order = UP | {"by": f"score {number}"}
                shift = effect if number == 0 else 0.0
                runs += [run(5 + shift + rng.normal(0, 0.01), s, order) for s in range(4)]
            claims[effect] += any(choice.stands for choice in find_data_choices(runs, {}))
    assert claims[0.0] / 200 < 0.08
    assert claims[0.05] / 200 > 0.5


def test_controls_are_named_and_never_stand():
    runs = [run(5.0 + 0.01 * s, s) for s in range(3)]
    runs += [run(4.0 + 0.011 * s, s, DEALT) for s in range(3)]
    (found,) = find_data_choices(runs, {})
    assert found.choice == "rarity, dealt scores"
    assert found.is_control
    assert not found.stands


def test_runs_that_differ_in_more_than_the_choice_are_not_compared():
    runs = [run(5.0, 0), run(4.0, 0, UP, shape="b"), run(4.0, 1, UP)]
    (found,) = find_data_choices(runs, {})
    assert not found.difference.is_known
    assert found.difference.text == "no seed in common"
