"""Which narrower number format a result was really computed in: from the size of its error, and from its very numbers.

A float32 row whose error is beyond float32's may have a mistake, or may have been computed in fewer bits than it says.
The two are told apart by what rounding cannot hide. Numbers that were ever stored in bfloat16 or float16 have no bit
beyond those formats. Products of factors rounded to TF32 or bfloat16, with sums in float32, leave an error of that
rounding's size, which has no part in common with the result itself; the mistakes of tests/support/mistakes.py are
tens of times larger. docs/gate.md has both measured.
"""

from __future__ import annotations

import numpy as np

#: Relative L2 that products in a format leave in a whole model: from below, what its own rounding costs, to above.
BANDS = {"TF32": (1e-4, 3e-3), "bfloat16": (3e-3, 4e-2)}
#: Largest share of such an error that may lie in the direction of the result; a wrong scale has all of it there.
SYSTEMATIC = 0.3
#: Mantissa bits that a float32 number has beyond a bfloat16 number.
BEYOND_BFLOAT16 = 0xFFFF


def narrower(output: np.ndarray, reference: np.ndarray, accelerator: str) -> tuple[str, str] | None:
    """(format, words) where ``output`` was computed in fewer bits than float32, as far as can be told; else None.

    ``output`` is float32 and beyond float32's tolerance of ``reference``, which is float64 of the same shape. TF32 is
    looked for on ``accelerator`` cuda alone: no other device has it.
    """
    output = np.ascontiguousarray(output, np.float32)
    stored = stored_as(output)
    if stored:
        return stored, f"its outputs are {stored} numbers: it computes in {stored}, whatever it calls itself"
    error = output - reference
    size, whole = float(np.linalg.norm(error)), float(np.linalg.norm(reference))
    if not 0.0 < size < np.inf or abs(float(np.vdot(error, reference))) > SYSTEMATIC * size * whole:
        return None
    for name, (low, high) in BANDS.items():
        if low <= size / whole <= high and (name != "TF32" or accelerator == "cuda"):
            return (
                name,
                f"computes in {name}, whatever it calls itself: its error is that of {name}'s rounding",
            )
    return None


def stored_as(output: np.ndarray) -> str | None:
    """``bfloat16`` or ``float16`` where every number of ``output`` (float32) is one of that format; else None.

    Small numbers can be of both; then it is the one with fewer bits.
    """
    if not (output.view(np.uint32) & BEYOND_BFLOAT16).any():
        return "bfloat16"
    with np.errstate(over="ignore"):
        return "float16" if np.array_equal(output.astype(np.float16).astype(np.float32), output) else None
