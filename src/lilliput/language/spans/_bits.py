# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportCallIssue=false
"""Eight bytes at a time: unaligned loads, the run of letters at their beginning, its key.

For words of ASCII letters this replaces a loop over bytes, whose end the processor cannot foresee.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_CASE = np.uint64(0x2020202020202020)
_SEVEN_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH_BITS = np.uint64(0x8080808080808080)
# Added to a byte below 0x80, these set its high bit from `a` on, and above `z`.
_FROM_A = np.uint64(0x1F1F1F1F1F1F1F1F)
_ABOVE_Z = np.uint64(0x0505050505050505)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@intrinsic
def load_eight(context: Any, data: Any, index: Any) -> Any:
    """The bytes data[index : index + 8] as a little-endian number; nothing is checked."""
    del context

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        word = builder.bitcast(address, ir.IntType(64).as_pointer())
        return builder.load(word, align=1)

    return types.uint64(data, index), generate


@intrinsic
def trailing_zeros(context: Any, number: Any) -> Any:
    """The number of zero bits below the lowest one; 64 for zero."""
    del context

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del target, signature
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(number), generate


@njit(nogil=True, cache=True)
def leading_letters(eight: np.uint64) -> tuple[int, np.uint64]:
    """How many of eight bytes, from the first on, are ASCII letters; those in lower case, else 0."""
    lowered = eight | _CASE
    seven = lowered & _SEVEN_BITS
    letters = (seven + _FROM_A) & ~(seven + _ABOVE_Z) & ~eight & _HIGH_BITS
    count = trailing_zeros(letters ^ _HIGH_BITS) >> np.uint64(3)
    if count == np.uint64(8):
        return 8, lowered
    return np.int64(count), lowered & ~(_ALL << (count << np.uint64(3)))
