"""The gate's verdict on a cell, as ``validation/…json`` holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from arena.contract import codec
from arena.contract.cell import Reason
from arena.contract.codec import Count, Later

Judgement = Literal["pass", "close", "different"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The figures of one task: the worst of all rounds. Those that its task has not, or that could not be computed,
    are null; docs/gate.md has the formulas.
    """

    verdict: Annotated[Judgement | None, "Null where it was not measured, or is not judged in this lane"] = (
        None
    )
    shape_ok: Annotated[bool | None, "Whether the output has the reference's shape"] = None
    finite: Annotated[bool | None, "Whether it has neither NaN nor infinities"] = None
    note: Annotated[str | None, "What there is to say of the figures"] = None
    rounds: Annotated[dict[str, int] | None, "Which round gave the worst, by figure"] = None
    relative_l2: Annotated[float | None, "Of the output"] = None
    max_error: Annotated[float | None, "Of the output, over the reference's largest magnitude"] = None
    max_abs_error: Annotated[float | None, "Of the output, in its units"] = None
    top1_agreement: Annotated[
        float | None, "Share of the decided positions whose largest logit is the reference's"
    ] = None
    top1_decided: Annotated[Count | None, "Positions at which the reference's lead exceeds the noise"] = None
    top1_positions: Annotated[Count | None, "All positions"] = None
    mean_kl: Annotated[float | None, "Divergence of the reference's probabilities from the output's"] = None
    median_kl: Annotated[float | None, "The same, of the position in the middle", Later()] = None
    loss: Annotated[float | None, "Recomputed from the output"] = None
    loss_change: Annotated[float | None, "Its difference from the reference's, with its sign"] = None
    loss_error: Annotated[
        float | None, "Relative error of the loss; of training, of the loss that the step says"
    ] = None
    printed_loss_error: Annotated[
        float | None, "Of the loss that the round printed, against that of its output"
    ] = None
    tokens_ok: Annotated[bool | None, "Whether no token differs, or the first that does was a tie"] = None
    matching_tokens: Annotated[Count | None, "Tokens before the first that differs"] = None
    decode_tokens: Annotated[Count | None, "Tokens of the reference"] = None
    divergence_margin: Annotated[
        float | None, "By how much the reference decides where they first differ"
    ] = None
    gradient_norm_error: Annotated[float | None, "The worst weight's"] = None
    gradient_norm_tensor: Annotated[str | None, "Which weight that is"] = None
    gradient_cosine: Annotated[float | None, "The worst weight's"] = None
    gradient_cosine_tensor: Annotated[str | None, "Which weight that is"] = None
    gradient_relative_l2: Annotated[float | None, "The worst weight's"] = None
    worst_tensor: Annotated[str | None, "Which weight that is"] = None
    missing: Annotated[list[str] | None, "Weights without a gradient"] = None
    misshapen: Annotated[list[str] | None, "Weights with a gradient of another shape"] = None
    nonfinite: Annotated[list[str] | None, "Weights with a gradient that is not finite"] = None
    unexpected: Annotated[list[str] | None, "Gradients of no weight"] = None
    tolerances: Annotated[
        dict[str, float] | None, "What each figure was held to; null where the part is not judged", Later()
    ] = None
    widened: Annotated[
        dict[str, float] | None,
        "Where the lane's noise widened that: the tolerance of the configuration, by figure",
        Later(),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What the row's users lose of a text, against the float64 reference; not judged. Null where it could not be
    computed; docs/gate.md has the formulas.
    """

    tokens: Annotated[Count, "Tokens of the text whose probability was looked up"]
    kl_positions: Annotated[Count, "Positions whose whole distribution was compared"]
    reference_perplexity: Annotated[float | None, "The reference's"] = None
    perplexity: Annotated[float | None, "Exponential of the mean of -log p over the tokens"] = None
    perplexity_change: Annotated[float | None, "Its relative difference from the reference's, signed"] = None
    perplexity_change_error: Annotated[float | None, "Standard error of that, over the tokens"] = None
    top1_agreement: Annotated[
        float | None, "Share of the tokens at which the likeliest is the reference's"
    ] = None
    mean_kl: Annotated[float | None, "Divergence of the reference's probabilities from the row's, nats"] = (
        None
    )
    mean_kl_error: Annotated[float | None, "Standard error of that, over its positions"] = None
    note: Annotated[str | None, "Why there are no figures"] = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """By task."""

    inference: Annotated[Part, "The output of inference"] = field(default_factory=Part)
    latency: Annotated[Part, "The output of latency"] = field(default_factory=Part)
    decode: Annotated[Part | None, "The generated tokens; null for a model that does not generate"] = None
    training: Annotated[Part, "Loss and gradients"] = field(default_factory=Part)
    quality: Annotated[
        Quality | None, "What its users lose of a text; null where round 1 predicted none", Later()
    ] = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says of a cell."""

    schema: Annotated[Literal[2], "Of this record"] = 2
    platform: Annotated[str, "The cell's"]
    model: Annotated[str, "The cell's"]
    row: Annotated[str, "The cell's"]
    lane: Annotated[str, "The cell's"]
    verdict: Annotated[Judgement | None, "Null where there are no outputs to judge"] = None
    unjudged: Annotated[
        Reason | None,
        "Why nothing could be judged: the model's weights, or its reference, were not made",
        Later(),
    ] = None
    parts: Annotated[Parts, "Figures by task"]
    reasons: Annotated[list[str], "Why it is no pass, in words"]
    noise: Annotated[dict[str, dict[str, Any]], "The same figures of float32 PyTorch, by task"]
    rounding: Annotated[
        str | None, "How its lane rounds; null in float32, and where the row's file does not say", Later()
    ] = None
    rounding_noise: Annotated[
        dict[str, dict[str, Any]], "The same figures of that rounding in PyTorch, by task", Later()
    ] = field(default_factory=dict)

    @property
    def lane_noise(self) -> dict[str, dict[str, Any]]:
        """What the lane's own arithmetic costs on these weights, by task: it may widen tolerances."""
        return self.noise if self.lane == "float32" else self.rounding_noise


def read(path: Path) -> Verdict:
    """The verdict in a file. Raises ContractError naming file and key, and saying what to do."""
    try:
        return codec.read(Verdict, path)
    except codec.ContractError as error:
        raise codec.ContractError(f"{error}; delete the file and validate the cell again") from error
