"""Numbers as people read them: digits by interval, n or single, powers of ten."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.analysis.findings.quantities import (
    UNKNOWN,
    Quantity,
    finite,
    format_duration,
    format_number,
)
from lilliput.core.intervals import mean_interval
from lilliput.core.wording import listed


def test_digits_follow_the_interval():
    quantity = Quantity(0.143217, 0.13812, 0.15034, 34)
    assert quantity.text == "0.1432 (95 % interval 0.1381 to 0.1503, n = 34 runs)"
    wide = Quantity(0.143217, 0.02, 0.31, 34)
    assert wide.figure == "0.14"


def test_a_single_measurement_says_so():
    assert Quantity.from_interval(mean_interval([2.3125])).text == "2.312 (single seed)"
    assert Quantity(2.5, n=7).text == "2.500 (n = 7 runs, no interval)"
    assert Quantity(2.5).text == "2.500 (no interval)"


def test_a_missing_value_is_said_in_words():
    assert Quantity(None, note="too few runs").text == "too few runs"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.2e15, "2.200 × 10¹⁵"),
        (1_250_722.0, "1,250,722"),
        (-0.141, "−0.1410"),
        (4.2e-5, "4.200 × 10⁻⁵"),
        (0.0, "0"),
        (None, "–"),
    ],
)
def test_numbers_are_written_plainly_or_with_a_power_of_ten(value: float | None, text: str):
    assert format_number(value) == text


@given(st.floats(1e-9, 1e20), st.floats(1e-3, 0.5))
def test_rounding_moves_a_number_by_less_than_its_interval(value: float, share: float):
    text = format_number(value, half_width=share * value)
    digits = text.replace(",", "").replace("−", "-")
    if "×" in digits:
        mantissa, power = digits.split(" × 10")
        exponent = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
        shown = float(mantissa) * 10.0**exponent
    else:
        shown = float(digits)
    # Two digits of the half width are kept: an error of at most 5 % of it, unless six decimals end.
    assert abs(shown - value) <= 0.051 * share * value + 5e-7


def test_an_interval_excludes_what_lies_beside_it_and_a_single_value_nothing():
    assert Quantity(0.2, 0.1, 0.3).excludes(0.0)
    assert not Quantity(0.2, -0.1, 0.3).excludes(0.0)
    assert not Quantity(0.2).excludes(0.0)


def test_gaps_in_files_stay_gaps():
    assert finite("3.1") is None
    assert finite(math.nan) is None
    assert finite(True) is None
    assert finite(3) == 3.0


def test_words():
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert format_duration(7300) == "2.0 h"


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_shown_as_unknown(value: float) -> None:
    assert format_number(value) == UNKNOWN
    assert format_number(2.5, half_width=math.inf) == "2.500"
