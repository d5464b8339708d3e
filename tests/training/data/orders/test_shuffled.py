"""The order of the data is a function of (seed, place)."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lilliput.core.seeding import mix32
from lilliput.training.data.orders.shuffled import Permutation, places_in_epochs


@given(st.integers(1, 5000), st.integers(0, 2**64 - 1))
def test_every_epoch_reads_every_sequence_once(size, key):
    places = np.arange(size, dtype=np.int64)
    assert np.array_equal(np.sort(Permutation(size, key)(places)), places)


@given(st.integers(50, 3000), st.integers(0, 100), st.integers(0, 5000), st.integers(1, 600))
def test_any_window_equals_the_same_window_of_the_whole(size, seed, first, count):
    whole = places_in_epochs(size, seed, 0, first + count)
    assert np.array_equal(places_in_epochs(size, seed, first, count), whole[first:])


def test_each_epoch_is_a_permutation_and_epochs_differ():
    first, second = places_in_epochs(1000, 3, 0, 1000), places_in_epochs(1000, 3, 1000, 1000)
    assert np.array_equal(np.sort(first), np.arange(1000))
    assert np.array_equal(np.sort(second), np.arange(1000))
    # Two independent permutations agree at about one place; ten has probability below 1e-6 (Poisson).
    assert (first == second).sum() < 10
    assert (first == places_in_epochs(1000, 4, 0, 1000)).sum() < 10


def test_a_shuffled_order_has_no_trend():
    n = 20_000
    order = places_in_epochs(n, 0, 0, n)
    correlation = np.corrcoef(np.arange(n), order)[0, 1]
    lag_one = np.corrcoef(order[:-1], order[1:])[0, 1]
    # Standard error 1/sqrt(n); five of them.
    assert abs(correlation) < 5 / np.sqrt(n)
    assert abs(lag_one) < 5 / np.sqrt(n)


def test_without_shuffling_all_epochs_and_seeds_read_the_stored_order():
    for seed in (0, 1):
        assert places_in_epochs(7, seed, 5, 6, shuffle=False).tolist() == [5, 6, 0, 1, 2, 3]


def test_bits_are_the_same_in_numpy_and_torch():
    values = np.arange(-5, 100_000, 7, dtype=np.int64) * 0x1_2345_6789
    assert np.array_equal(mix32(values), mix32(torch.from_numpy(values)).numpy())


def test_mixed_bits_are_uniform_and_avalanche():
    bits = (mix32(np.arange(4096, dtype=np.int64))[:, None] >> np.arange(32)) & 1
    # Each bit is a fair coin over 4096 inputs: five standard errors of 0.5 / sqrt(4096).
    assert np.abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / 64
    flipped = mix32(np.arange(4096, dtype=np.int64) ^ 1)
    changed = ((mix32(np.arange(4096, dtype=np.int64)) ^ flipped)[:, None] >> np.arange(32)) & 1
    assert abs(changed.mean() - 0.5) < 0.02
