"""Which generator makes seeded weights, without what it needs to make them."""

from __future__ import annotations

GENERATOR = "philox-heavy-2"  # changes whenever the bytes change; its last part is the generation


def number(generator: str) -> int:
    """The generation of a generator's name. Raises ValueError naming one that ends in no number."""
    digits = generator.rpartition("-")[2]
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(
            f"generator {generator!r}: expected a name that ends in -<number>, like {GENERATOR!r}"
        )
    return int(digits)
