"""The verdicts of a submission: each held against its own figures, and the rounds that it is of."""

from __future__ import annotations

from collections.abc import Mapping

from arena.contract.round import Round
from arena.contract.verdict import Part, Quality, Verdict
from arena.judging import distances, quality
from arena.judging import verdict as judging
from arena.judging.widening import parted
from reporting.submissions import lines

FINE = 1e-6  # relative difference of two figures that should be one: both went through a float
BEST = judging.VERDICTS
GATED = ("inference", "latency", "decode", "training")


def agree(judged: Verdict, rounds: list[Round], gate: Mapping[str, float]) -> None:
    """Refuse a verdict that its own figures, or the rounds that it is on, contradict: of several allocations those of
    the one whose verdict it is.
    """
    cell = rounds[0].cell
    name = f"{cell.model} / {cell.row}"
    if (judged.platform, judged.lane) != (cell.platform, cell.lane):
        raise ValueError(
            f"verdict on {name}: platform {lines.short(judged.platform)}, lane {lines.short(judged.lane)}; "
            f"the rounds have {cell.platform!r}, {cell.lane!r}"
        )
    ended = all(record.status == "ok" for record in rounds)
    if judged.verdict is not None and not ended:
        raise ValueError(f"{name}: verdict {judged.verdict}, yet a round did not end well")
    if judged.verdict is None and ended and judged.unjudged is None:
        raise ValueError(f"{name}: every round is ok, yet the verdict is null")
    if judged.verdict is not None and judged.unjudged is not None:
        raise ValueError(f"{name}: verdict {judged.verdict}, yet nothing was judged: {judged.unjudged.code}")
    for part in GATED:
        figures = getattr(judged.parts, part)
        if figures is None:
            continue
        _bounded(f"parts.{part}", figures, {record.round for record in rounds})
        measured = (
            rounds[0] if part == "training" else next((each for each in rounds if each.ok(part)), rounds[0])
        )
        if judged.verdict is not None and measured.ok(part) and not _known(figures):
            raise ValueError(f"{name}: {part} was measured, yet the verdict has no figures of it")
    if judged.verdict is not None:
        again, parts = judge(judged, gate)
        if BEST.index(judged.verdict) < BEST.index(again):
            worse = [f"{part}: {why}" for part, why in parts]
            raise ValueError(
                f"{name}: verdict {judged.verdict}, yet its figures make it {again} by the submission's own "
                f"tolerances ({'; '.join(worse)[:300]})"
            )
        _losses(name, judged, rounds)
    if judged.parts.quality is not None:
        _text(name, judged.parts.quality, rounds[0])


def judge(judged: Verdict, gate: Mapping[str, float]) -> tuple[str, list[tuple[str, str]]]:
    """(verdict, [(part, reason)]) of the figures of a verdict under the tolerances of its lane.

    What could not be computed is null there; where the gate needs it, the part is different.
    """
    held = {}
    for part in GATED:
        figures = getattr(judged.parts, part)
        if (
            figures is not None
            and _known(figures)
            and (judged.lane == "float32" or part not in judging.STRICT_ONLY)
        ):
            held[part] = {name: value for name, value in vars(figures).items() if value is not None}
    if "inference" not in held:
        return "different", [("inference", "no figures")]
    result = judging.judge(held, *parted(gate), judged.lane_noise, judged.rounding)
    pairs = [tuple(reason.split(": ", 1)) for reason in result["reasons"]]
    return result["verdict"], [(part, why) for part, why in pairs]


def _known(figures: Part) -> bool:
    """Whether a part has figures: its task was measured, and compared with the reference."""
    return any(value is not None for name, value in vars(figures).items() if name not in ("verdict", "note"))


def _bounded(where: str, figures: Part, rounds: set[int]) -> None:
    values = vars(figures)
    for name, value in values.items():
        if name in ("top1_agreement",) and value is not None and not 0 <= value <= 1:
            raise ValueError(f"{where}.{name}: {value}; expected a share from 0 to 1")
        if name == "gradient_cosine" and value is not None and not -1 - FINE <= value <= 1 + FINE:
            raise ValueError(f"{where}.{name}: {value}; expected a cosine from -1 to 1")
        if isinstance(value, float) and value < 0 and name not in lines.MAY_BE_NEGATIVE:
            raise ValueError(f"{where}.{name}: {value}; expected nothing below 0")
    for name, number in (figures.rounds or {}).items():
        if number not in rounds:
            raise ValueError(
                f"{where}.rounds.{lines.short(name)}: {number}; expected one of the {len(rounds)} rounds"
            )
    for few, many in (("top1_decided", "top1_positions"), ("matching_tokens", "decode_tokens")):
        if values[few] is not None and values[many] is not None and values[few] > values[many]:
            raise ValueError(f"{where}.{few}: {values[few]}, of {values[many]} {many}")


def _text(name: str, figures: Quality, first: Round) -> None:
    """Refuse figures of a text that round 1 did not predict, or that contradict each other or its loss."""
    told = first.quality
    if told is None or told.status != "ok" or told.tokens != figures.tokens:
        tokens = told and told.tokens
        raise ValueError(
            f"{name}: figures of a text of {figures.tokens} tokens, yet round {first.round} predicted {tokens}"
        )
    for key, value in vars(figures).items():
        if isinstance(value, float) and (value < 0) and key not in lines.MAY_BE_NEGATIVE:
            raise ValueError(f"{name}: parts.quality.{key}: {value}; expected nothing below 0")
    if figures.top1_agreement is not None and figures.top1_agreement > 1:
        raise ValueError(
            f"{name}: parts.quality.top1_agreement: {figures.top1_agreement}; expected 1 at most"
        )
    own, theirs, change = figures.perplexity, figures.reference_perplexity, figures.perplexity_change
    if (
        own is not None
        and theirs
        and change is not None
        and abs(own / theirs - 1 - change) > FINE * own / theirs
    ):
        raise ValueError(
            f"{name}: perplexity {own:g} of the reference's {theirs:g} is no change by {change:g}, as the verdict says"
        )
    if own is not None and told.loss is not None and abs(quality.exponential(told.loss) / own - 1) > FINE:
        raise ValueError(
            f"{name}: perplexity {own:g}, yet round {first.round} printed the loss {told.loss:g} of its text"
        )


def _losses(name: str, judged: Verdict, rounds: list[Round]) -> None:
    """Refuse losses of rounds that are further from each other, or from the reference's, than the figures say."""
    part = judged.parts.inference
    if part.loss is None or part.loss_change is None:
        return
    if rounds[0].loss is not None and part.printed_loss_error is not None:
        far = distances.relative_error(rounds[0].loss, part.loss)
        if far > part.printed_loss_error + FINE:
            raise ValueError(
                f"{name}: round {rounds[0].round} printed the loss {rounds[0].loss:g}, its output has {part.loss:g}; "
                f"the verdict says that they are {part.printed_loss_error:.2g} apart"
            )
    reference, allowed = part.loss - part.loss_change, judged.parts.training.loss_error
    for record in rounds if allowed is not None else ():
        if record.ok("training") and record.training_loss is not None:
            far = distances.relative_error(record.training_loss, reference)
            if far > (allowed or 0.0) + FINE:
                raise ValueError(
                    f"{name}: the training loss of round {record.round} is {record.training_loss:g}, {far:.2g} from "
                    f"the reference's; the verdict says {allowed:.2g} at most"
                )
