"""How float32's own noise widens a tolerance: what float32 costs on the very weights that are judged.

Weights differ in how much they amplify rounding. The noise floor, plain float32 PyTorch against the float64 reference,
has that in it; docs/gate.md has what sound engines and mistakes measure in multiples of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEYS = ("noise_factor", "noise_ceiling")  # of a lane in the configuration, beside its tolerances

#: Figures with a noise of their own. Top-1 agreement leaves out what noise may decide, the printed loss is compared
#: with the very output that it was computed from.
FIGURES = ("relative_l2", "max_error", "loss_error", "gradient_norm_error", "gradient_cosine")


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

        ``noise`` has the figures of float32 PyTorch by name. A cosine lacks half the square of the angle, so an angle
        of ``factor`` times the noise lacks ``factor``² times as much. None where the noise has no such figure.
        """
        value = noise.get(figure) if figure in FIGURES else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return self.factor**2 * (1.0 - value) if figure == "gradient_cosine" else self.factor * value


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
