"""How a lane's own noise widens a tolerance: what its rounding costs on the very weights that are judged.

Weights differ in how much they amplify rounding. A lane's noise, that rounding in PyTorch against the float64
reference, has that in it; docs/gate.md has what sound engines and mistakes measure in multiples of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEYS = ("noise_factor", "noise_ceiling")  # of a lane in the configuration, beside its tolerances

#: Figures with a noise of their own. Top-1 agreement leaves out what noise may decide, the printed loss is compared
#: with the very output that it was computed from.
FIGURES = (
    "relative_l2",
    "max_error",
    "loss_error",
    "mean_kl",
    "median_kl",
    "gradient_norm_error",
    "gradient_cosine",
)
#: Of those, the squares of errors. A divergence is near half the square of the logits' error, what a cosine lacks of 1
#: half the square of an angle.
SQUARES = ("mean_kl", "median_kl", "gradient_cosine")


@dataclass(frozen=True)
class Widening:
    """``factor`` times the noise may pass, but never more than ``ceiling`` times the tolerance.

    Raises ValueError unless both are finite, the factor above 0 and the ceiling at least 1.
    """

    factor: float
    ceiling: float

    def __post_init__(self) -> None:
        if not 0.0 < self.factor < math.inf:
            raise ValueError(f"noise_factor: {self.factor}; expected a positive number")
        if not 1.0 <= self.ceiling < math.inf:
            raise ValueError(f"noise_ceiling: {self.ceiling}; expected a number of at least 1")

    def error(self, figure: str, noise: Mapping[str, Any]) -> float | None:
        """What the noise allows of ``figure``, as an error: its value, or what a cosine lacks of 1.

        ``noise`` has the lane's figures by name. Those of SQUARES are ``factor``² times as much where the error is
        ``factor`` times the noise. None where the noise has no such figure.
        """
        value = noise.get(figure) if figure in FIGURES else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        error = 1.0 - value if figure == "gradient_cosine" else value
        return error * (self.factor**2 if figure in SQUARES else self.factor)


def parted(lane: Mapping[str, float]) -> tuple[dict[str, float], float, Widening | None]:
    """A lane's entry in the configuration (``gate.<lane>``) as its tolerances, close factor and widening.

    There is no widening without both KEYS. Raises ValueError where only one is there, or no ``close_factor``.
    """
    tolerances = {name: value for name, value in lane.items() if name not in (*KEYS, "close_factor")}
    if "close_factor" not in lane:
        raise ValueError("close_factor: missing; expected a number of at least 1")
    given = [name for name in KEYS if name in lane]
    if len(given) == 1:
        raise ValueError(f"{given[0]} without {' or '.join(set(KEYS) - set(given))}; expected both or none")
    widening = Widening(*(lane[name] for name in KEYS)) if given else None
    return tolerances, lane["close_factor"], widening
