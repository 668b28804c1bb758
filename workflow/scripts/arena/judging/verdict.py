"""The correctness gate's verdict: pass, close or different, with reasons in words. See docs/gate.md.

Apart from gate.py, whose figures the reference's noise is made of, so that a new rule for verdicts
does not compute every reference again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from arena.judging.widening import FIGURES as WIDENED
from arena.judging.widening import SQUARES, Widening

Figures = dict[str, Any]
Bounds = dict[str, tuple[float, float]]  # by tolerance: the limits for pass and for close

VERDICTS = ("pass", "close", "different")  # from best to worst

#: Figure -> (its name in words, the tolerance that it is held to).
FIGURES = {
    "relative_l2": ("relative L2", "relative_l2"),
    "max_error": ("max error", "max_error"),
    "top1_agreement": ("top-1 agreement", "top1_agreement"),
    "loss_error": ("loss error", "loss_error"),
    "mean_kl": ("mean KL divergence", "mean_kl"),
    "median_kl": ("median KL divergence", "median_kl"),
    "printed_loss_error": ("error of the printed loss", "printed_loss_error"),
    "gradient_norm_error": ("gradient norm error", "gradient_norm_error"),
    "gradient_cosine": ("gradient cosine", "gradient_cosine"),
}

#: Largest tolerance of the printed loss in any lane: it is compared with the loss of the very output that it
#: was computed from, so no lane's rounding lies between the two.
PRINTED_LOSS = 1e-4

TOLERANCES = tuple(tolerance for _, tolerance in FIGURES.values() if tolerance != "printed_loss_error")

#: Tolerances that a lane need not have: float32 is strict enough without.
OPTIONAL = {"mean_kl", "median_kl"}
TENSOR_OF = {"gradient_norm_error": "gradient_norm_tensor", "gradient_cosine": "gradient_cosine_tensor"}
AT_LEAST = {"top1_agreement", "gradient_cosine"}  # better when larger; all others when smaller

#: Figures without which a part cannot pass.
REQUIRED = {
    "inference": {"relative_l2", "max_error", "loss_error", "printed_loss_error"},
    "latency": {"relative_l2", "max_error"},
    "decode": set(),  # right tokens or wrong ones: see gate.compare_tokens
    "training": {"loss_error", "gradient_norm_error", "gradient_cosine"},
}

#: Parts judged in float32 alone: one rounding may turn a whole continuation, and no tolerance tells a turn
#: that the lane explains from a mistake.
STRICT_ONLY = {"decode"}

#: Lists of weights, any of which makes a part different.
FLAWS = {
    "missing": "without a gradient",
    "misshapen": "with a gradient of another shape",
    "nonfinite": "with a gradient that is not finite",
}

#: Agreement lost per unit of close factor where 100 % is asked for: zero times any factor stays zero.
TOP1_STEP = 1e-3


def limits(
    tolerances: Mapping[str, float],
    close_factor: float,
    widening: Widening | None = None,
    noise: Mapping[str, Any] | None = None,
) -> Bounds:
    """Each tolerance's limits for ``pass`` and for ``close``, both inclusive.

    A largest error t widens to t x factor; a least agreement t to 1 - (1 - t) x factor. Computed in
    decimal, so that 0.9999 and 10 give 0.999 and not its neighbour. A top-1 agreement of exactly 1
    widens as 1 - TOP1_STEP would, to 99 % at factor 10: one flip in 128 positions is close, one in four
    is not.

    With ``widening`` and the ``noise`` of the part that is judged, the limit for ``pass`` is what the noise
    allows, if that is wider; at most t x ceiling (or 1 - (1 - t) x ceiling), for a divergence t x ceiling². The
    limit for ``close`` moves only where it would be the narrower one.

    Raises ValueError for a missing or unknown tolerance and for values out of range.
    """
    missing = set(TOLERANCES) - OPTIONAL - set(tolerances)
    unknown = set(tolerances) - set(TOLERANCES)
    if missing or unknown:
        raise ValueError(
            f"tolerances: missing {sorted(missing)}, unknown {sorted(unknown)}; "
            f"expected {', '.join(TOLERANCES)} ({', '.join(sorted(OPTIONAL))} may be left out)"
        )
    if not 1.0 <= close_factor < math.inf:
        raise ValueError(f"close_factor: {close_factor}; expected a number of at least 1")
    bounds = {}
    tolerances = {**tolerances, "printed_loss_error": min(tolerances["loss_error"], PRINTED_LOSS)}
    for name, value in tolerances.items():
        if not (0.0 <= value <= 1.0 if name in AT_LEAST else 0.0 < value < math.inf):
            expected = "a share from 0 to 1" if name in AT_LEAST else "a positive number"
            raise ValueError(f"tolerances: {name} = {value}; expected {expected}")
        passing = _widened(name, value, widening, noise) if widening and noise else value
        closing = _times(name, value, close_factor)
        bounds[name] = (passing, min(passing, closing) if name in AT_LEAST else max(passing, closing))
    return bounds


def _times(name: str, value: float, factor: float) -> float:
    """A tolerance ``factor`` times as wide."""
    exact, times = Decimal(str(value)), Decimal(str(factor))
    if name not in AT_LEAST:
        return float(exact * times)
    slack = 1 - exact
    if name == "top1_agreement":
        slack = max(slack, Decimal(str(TOP1_STEP)))
    return float(min(exact, 1 - slack * times))


def _widened(name: str, value: float, widening: Widening, noise: Mapping[str, Any]) -> float:
    """The tolerance, or what the noise allows if that is wider, up to the ceiling."""
    error = widening.error(name, noise)
    if error is None:
        return value
    ceiling = _ceiling(name, value, widening)
    return max(ceiling, min(value, 1.0 - error)) if name in AT_LEAST else min(ceiling, max(value, error))


def _ceiling(name: str, value: float, widening: Widening) -> float:
    """The tolerance at its widest. A divergence is the square of an error, a lack of agreement as wide as its own."""
    square = name in SQUARES and name not in AT_LEAST
    return _times(name, value, widening.ceiling**2 if square else widening.ceiling)


def ceilings(
    tolerances: Mapping[str, float], close_factor: float, widening: Widening | None
) -> dict[str, float]:
    """The limit for ``pass`` of each tolerance, however great the noise is."""
    bounds = limits(tolerances, close_factor, widening)
    widest = {name: passing for name, (passing, _) in bounds.items()}
    if widening:
        widest |= {name: _ceiling(name, tolerances[name], widening) for name in WIDENED if name in tolerances}
    return widest


def beyond(figure: str, value: float, limit: float) -> bool:
    """Whether a figure does not keep a limit: below a least agreement, above a largest error; NaN keeps none."""
    return not (value >= limit if figure in AT_LEAST else value <= limit)


def applied(
    figures: Mapping[str, Any], tolerances: Mapping[str, float], bounds: Bounds
) -> dict[str, dict[str, float]]:
    """What a part's figures were held to: ``tolerances`` by figure, ``widened`` where noise moved one.

    ``widened`` has the tolerance of the configuration, from which it was moved.
    """
    held = {
        figure: bounds[name][0]
        for figure, (_, name) in FIGURES.items()
        if figures.get(figure) is not None and name in bounds
    }
    widened = {
        figure: tolerances[figure] for figure in held if tolerances.get(figure, held[figure]) != held[figure]
    }
    return {"tolerances": held, "widened": widened}


def worst(by_round: Mapping[int, Figures]) -> Figures:
    """Merge one part's figures of several rounds: the worst of each, and in ``rounds`` who gave it.

    A flag holds only if it holds in every round; ``rounds`` names the first in which it does not.
    Whatever else there is (counts, names, notes) is the first round's that has it.
    """
    merged: Figures = {}
    rounds: dict[str, int] = {}
    for number, figures in sorted(by_round.items()):
        for name, value in figures.items():
            held = merged.setdefault(name, value)
            if held is None:
                merged[name] = value
            if value is False:
                merged[name], rounds[name] = False, rounds.get(name, number)
            elif value is None or name not in FIGURES:
                continue
            elif name not in rounds or (value < held if name in AT_LEAST else value > held):
                merged[name], rounds[name] = value, number
    return merged | {"rounds": rounds}


def worst_tokens(by_round: Mapping[int, Figures]) -> Figures:
    """The figures of the round whose tokens are worst: wrong before right, fewer matching before more."""

    def goodness(number: int) -> tuple[bool, int]:
        figures = by_round[number]
        return figures["tokens_ok"], figures["matching_tokens"] or 0

    number = min(sorted(by_round), key=goodness)
    return by_round[number] | {"rounds": {"tokens_ok": number}}


def judge(
    parts: Mapping[str, Figures],
    tolerances: Mapping[str, float],
    close_factor: float,
    widening: Widening | None = None,
    noise: Mapping[str, Mapping[str, Any]] | None = None,
    rounding: str | None = None,
) -> Figures:
    """The verdict on a cell: ``verdict``, ``parts`` (a verdict each) and ``reasons`` in words.

    ``parts`` maps ``inference``, ``latency``, ``decode`` and ``training`` (those that were measured) to
    figures, ``noise`` likewise to those of ``rounding`` (float32) in PyTorch. A part passes if it is whole (right
    shape, finite, no gradient missing), has every figure that is REQUIRED, and all its figures keep their tolerances
    (see ``limits``); it is ``close`` if they keep the widened ones; else ``different``. Tokens are right or
    ``different``. The cell is as good as its worst part.
    """
    limits(tolerances, close_factor, widening)
    verdicts, reasons = {}, []
    for part, figures in parts.items():
        floor = (noise or {}).get(part) or {}
        bounds = limits(tolerances, close_factor, widening, floor)
        verdicts[part], why = _judge_part(part, figures, bounds, tolerances, floor, rounding or "float32")
        reasons += [f"{part}: {reason}" for reason in why]
    if not verdicts:
        raise ValueError("no part to judge; expected at least one of " + ", ".join(REQUIRED))
    return {"verdict": max(verdicts.values(), key=VERDICTS.index), "parts": verdicts, "reasons": reasons}


def _judge_part(
    part: str,
    figures: Figures,
    bounds: Bounds,
    tolerances: Mapping[str, float],
    noise: Mapping[str, Any],
    rounding: str,
) -> tuple[str, list[str]]:
    """The verdict on one part, and why it is no ``pass``."""
    reasons = []
    if not figures.get("shape_ok", True):
        reasons.append((figures.get("note") or "wrong shape") + _place("shape_ok", figures))
    elif not figures.get("finite", True) and not figures.get("nonfinite"):
        reasons.append("NaN or infinite values" + _place("finite", figures))
    for flaw, words in FLAWS.items():
        if names := figures.get(flaw):
            reasons.append(f"{len(names)} weight(s) {words}: {', '.join(names[:3])}{'…' * (len(names) > 3)}")
    if not figures.get("tokens_ok", True) and figures.get("matching_tokens") is not None:
        count, margin = figures["matching_tokens"], figures["divergence_margin"]
        reasons.append(
            f"token {count + 1} of {figures['decode_tokens']} differs, where the reference decides by "
            f"{_number('', margin)}{_place('tokens_ok', figures)}"
        )
    whole = not reasons
    verdict = "pass" if whole else "different"
    for figure, (words, tolerance) in FIGURES.items():
        value = figures.get(figure)
        if value is None:
            if whole and figure in REQUIRED[part]:
                verdict = "different"
                reasons.append(f"no {words} could be computed")
            continue
        if tolerance not in bounds:
            continue
        passing, closing = bounds[tolerance]
        if not beyond(tolerance, value, passing):
            continue
        far = beyond(tolerance, value, closing)
        verdict = max(verdict, "different" if far else "close", key=VERDICTS.index)
        sign = "<" if tolerance in AT_LEAST else ">"
        comparison = f"{_number(figure, value)} {sign} {_number(figure, passing)}"
        own = tolerances.get(figure, passing)
        if own != passing:
            comparison += (
                f" ({rounding}'s noise, {_number(figure, noise[figure])}, widens {_number(figure, own)})"
            )
        reasons.append(f"{words} {comparison}{_place(figure, figures)}")
    return verdict, reasons


def _place(figure: str, figures: Figures) -> str:
    """Where a figure was worst: the weight, the round."""
    weight = figures.get(TENSOR_OF[figure]) if figure in TENSOR_OF else None
    number = figures.get("rounds", {}).get(figure)
    return (f" in {weight}" if weight else "") + (f" (round {number})" if number else "")


def _number(figure: str, value: float) -> str:
    """A figure for reading: 97.7 %, 0.99987, 3.1e-2."""
    if figure == "top1_agreement":
        return f"{100 * value:.4g} %"
    if figure == "gradient_cosine":
        return f"{value:.7g}"
    mantissa, e, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}" if e else mantissa  # "inf", "nan"
