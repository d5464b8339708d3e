# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportCallIssue=false
"""Many bytes at a time: unaligned loads, and 64 bytes compared at once to one bit each.

A loop over bytes pays for every branch that the processor cannot foresee; bitmaps have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_LANES = 64
_BYTE = ir.IntType(8)
_ONE = np.uint64(1)


def _address(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = target.make_array(signature.args[0])(target, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


@intrinsic
def load_eight(context: Any, data: Any, index: Any) -> Any:
    """The bytes data[index : index + 8] as a little-endian number; nothing is checked."""
    del context

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(target, builder, signature, arguments)
        return builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, index), generate


def _bytes_between(low: int, high: int, case: int = 0) -> Callable[..., Any]:
    """A function from (data, index) to bits: bit k says low <= data[index + k] | case <= high."""
    lanes = ir.VectorType(_BYTE, _LANES)

    def constant(value: int) -> Any:
        return ir.Constant(lanes, [ir.Constant(_BYTE, value)] * _LANES)

    @intrinsic
    def between(context: Any, data: Any, index: Any) -> Any:
        del context

        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address = _address(target, builder, signature, arguments)
            loaded = builder.load(builder.bitcast(address, lanes.as_pointer()), align=1)
            shifted = builder.sub(builder.or_(loaded, constant(case)), constant(low))
            inside = builder.icmp_unsigned("<=", shifted, constant(high - low))
            return builder.bitcast(inside, ir.IntType(64))

        return types.uint64(data, index), generate

    return between


letters_in = _bytes_between(0x61, 0x7A, case=0x20)
blanks_in = _bytes_between(0x20, 0x20)
signs_in = _bytes_between(0x21, 0x2F)  # From `!` to `/`; no letter or digit is among them.
apostrophes_in = _bytes_between(0x27, 0x27)
latin_in = _bytes_between(0xC4, 0xC4)  # First byte of `İ`, among others.
greek_in = _bytes_between(0xCE, 0xCE)  # First byte of `Σ`, among others.


@intrinsic
def trailing_zeros(context: Any, number: Any) -> Any:
    """The number of zero bits below the lowest one; 64 for zero."""
    del context

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del target, signature
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(number), generate


@intrinsic
def count_ones(context: Any, number: Any) -> Any:
    """The number of one bits."""
    del context

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del target, signature
        return builder.ctpop(arguments[0])

    return types.uint64(number), generate


@njit(nogil=True, cache=True)
def below(bit: np.uint64) -> np.uint64:
    """All bits below bit `bit` (0 to 63)."""
    return (_ONE << bit) - _ONE


@njit(nogil=True, cache=True)
def nth_one(bits: np.uint64, n: np.uint64) -> np.uint64:
    """The position of the n-th one bit, counted from 0; there must be more than n.

    Halves are chosen by their counts: six steps without a branch to foresee.
    """
    position, width = np.uint64(0), np.uint64(32)
    while width:
        ones = count_ones(bits & below(width))
        step = width if ones <= n else np.uint64(0)
        n -= ones if ones <= n else np.uint64(0)
        bits >>= step
        position += step
        width >>= _ONE
    return position
