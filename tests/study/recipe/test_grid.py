from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.architecture import SIZES, format_shape
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import parse_settings
from lilliput.study.recipe.grid import GridBlock, parse_shape

sizes = st.fixed_dictionaries({factor: st.integers(1, 4096) for factor in SIZES})


def unmeasured(quantity: str, sizes: object) -> float:
    raise AssertionError("only iso families measure shapes")


@given(sizes)
def test_a_shape_survives_writing_and_reading(shape: dict[str, int]) -> None:
    assert parse_shape(format_shape(shape)) == shape


@pytest.mark.parametrize(
    "text", ["32/32/128/2", "32/32/128/2/x", "32/32/128/2/-1", "32/32/128/2/0", ""]
)
def test_a_malformed_shape_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Write it like 32/32/128/2/2") as caught:
        parse_shape(text)
    assert repr(text) in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(SIZES),
        st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True),
        min_size=5,
    )
)
def test_a_factorial_has_every_combination_once(levels: dict[str, list[int]]) -> None:
    block = parse_settings(GridBlock, {"factorial": levels, "languages": ["l"]})
    shapes = [format_shape(s) for s in block.expand(unmeasured)]
    expected = 1
    for level in levels.values():
        expected *= len(level)
    assert len(shapes) == len(set(shapes)) == expected


def test_one_factor_at_a_time_keeps_the_base_and_drops_repetitions() -> None:
    block = GridBlock(
        around="32/64/128/2/2",
        vary={"hidden_size": (32, 64), "num_hidden_layers": (1, 2, 4)},
        languages=("l",),
    )
    assert [format_shape(s) for s in block.expand(unmeasured)] == [
        "32/64/128/2/2",
        "32/32/128/2/2",
        "32/64/128/2/1",
        "32/64/128/2/4",
    ]


def test_a_block_has_one_way_of_giving_shapes() -> None:
    with pytest.raises(ConfigurationError, match="exactly one of shapes, factorial, around, iso"):
        parse_settings(GridBlock, {"languages": ["l"]})
    with pytest.raises(ConfigurationError, match="not heads"):
        parse_settings(
            GridBlock, {"around": "1/1/1/1/1", "vary": {"heads": [1]}, "languages": ["l"]}
        )
