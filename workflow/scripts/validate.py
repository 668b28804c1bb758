"""Judge one cell: compare every round's outputs, and round 1's gradients, with the float64 reference.

Writes the verdict (pass, close, different, or null where there is nothing to judge), the worst figures
of all rounds, and the reasons in words. A failed or unsupported round is no error here, an unreadable
file is.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from arena import files, tensors
from arena.contract import codec
from arena.contract import round as contract_round
from arena.contract import verdict as contract_verdict
from arena.contract.cell import Reason
from arena.contract.measured import Quality, Task
from arena.contract.round import Round
from arena.contract.verdict import Part, Parts, Verdict
from arena.judging import distances, losses, precision, quality, verdict
from arena.judging.widening import Widening
from arena.weights import unmade


@dataclass(frozen=True)
class Process:
    """What one measuring process left behind."""

    record: Round
    outputs: dict[str, np.ndarray]

    @property
    def number(self) -> int:
        return self.record.round

    def ran(self, task: str) -> bool:
        """Whether ``task`` was measured to its end."""
        return self.record.ok(task)


@dataclass(frozen=True)
class Reference:
    """The truth to compare with; ``path`` and ``inputs_path`` are for error messages."""

    path: Path
    outputs: dict[str, np.ndarray]  # float64: inference.output, latency.output, loss; decode.…
    gradients: dict[str, np.ndarray]
    norms: dict[str, float]
    noise: dict[str, Any]
    inputs_path: Path
    target: np.ndarray
    loss_kind: str
    rounding: str | None = None  # of a lane of reduced precision, and its noise by part
    rounding_noise: dict[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The float64 loss of the inference input."""
        return float(self.outputs["loss"])

    @property
    def generates(self) -> bool:
        """Whether the model has a greedy continuation to compare with."""
        return "decode.tokens" in self.outputs


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    try:
        rounds = read_rounds(args.rounds, args.outputs)
        gradients = tensors.load(args.gradients)
        if reason := unmade.reason(args.reference_json):
            codec.write(args.out, unjudged(rounds, reason))
            return
        reference = read_reference(args)
        widening = Widening(**args.widening) if args.widening else None
        result = validate(rounds, gradients, reference, args.tolerances, args.close_factor, widening)
        codec.write(args.out, result)
    except (ValueError, OSError) as error:
        sys.exit(f"validate.py: {error}")
    words = "; ".join([f"{result.model} / {result.row}: {result.verdict}", *result.reasons])
    print(words, file=sys.stderr)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    cell = parser.add_argument_group("files of the cell")
    cell.add_argument("--rounds", type=Path, nargs="+", required=True, help="round-*.json")
    cell.add_argument(
        "--outputs", type=Path, nargs="+", required=True, help="round-*.safetensors, same order"
    )
    cell.add_argument("--gradients", type=Path, required=True, help="gradients.safetensors of round 1")
    model = parser.add_argument_group("files of the model")
    model.add_argument("--reference", type=Path, required=True, help="reference.safetensors")
    model.add_argument("--reference-gradients", type=Path, required=True, help="gradients.safetensors")
    model.add_argument("--reference-json", type=Path, required=True, help="reference.json")
    model.add_argument("--rounding", help="how a lane of reduced precision rounds")
    model.add_argument("--rounding-json", type=Path, help="rounding.json, which has what that costs")
    model.add_argument("--inputs", type=Path, required=True, help="inputs.safetensors, for the target")
    model.add_argument("--loss", required=True, choices=losses.KINDS)
    rules = parser.add_argument_group("the rules")
    rules.add_argument("--tolerances", type=json.loads, required=True, help="the lane's tolerances, JSON")
    rules.add_argument("--close-factor", type=float, required=True, help="close = tolerances times this")
    rules.add_argument(
        "--widening", type=json.loads, help='how the lane\'s noise widens them: JSON {"factor", "ceiling"}'
    )
    parser.add_argument("--out", type=Path, required=True, help="the verdict, JSON")
    return parser.parse_args(argv)


def read_rounds(records: list[Path], outputs: list[Path]) -> list[Process]:
    """Read the rounds of one cell, in order of their numbers.

    Raises ValueError naming the file for anything unreadable, incomplete, or of another cell.
    """
    if len(records) != len(outputs):
        raise ValueError(f"--rounds names {len(records)} file(s), --outputs {len(outputs)}; expected pairs")
    rounds = []
    for path, output_path in zip(records, outputs, strict=True):
        rounds.append(Process(contract_round.read(path), tensors.load(output_path)))
    cells = {each.record.cell.name for each in rounds}
    numbers = sorted(each.number for each in rounds)
    if len(cells) > 1 or numbers != list(range(1, len(rounds) + 1)):
        raise ValueError(
            f"--rounds: files of cells {sorted(cells)}, rounds {numbers}; expected one cell's rounds "
            f"1 to {len(rounds)}, each once"
        )
    return sorted(rounds, key=lambda each: each.number)


def read_reference(args: argparse.Namespace) -> Reference:
    """Read the model's reference files. Raises ValueError naming the file and what it lacks."""
    outputs = tensors.load(args.reference)
    for name in ("inference.output", "latency.output", "loss"):
        if name not in outputs:
            raise ValueError(f"{args.reference}: no tensor {name!r}; compute the reference again")
    facts = files.read_json(args.reference_json)
    if "gradient_norms" not in facts:
        raise ValueError(f"{args.reference_json}: no gradient_norms; compute the reference again")
    for part, key in (
        ("inference", "max_abs_error"),
        ("latency", "max_abs_error"),
        ("training", "loss_error"),
    ):
        if key not in facts.get("noise", {}).get(part, {}):
            raise ValueError(f"{args.reference_json}: no noise.{part}.{key}; compute the reference again")
    if "decode.tokens" in outputs and "tie_margin" not in facts["noise"].get("decode", {}):
        raise ValueError(f"{args.reference_json}: no noise.decode.tie_margin; compute the reference again")
    rounded = {}
    if args.rounding:
        costed = files.read_json(args.rounding_json)
        costs = costed.get("noise", {}) | {name: {} for name in costed.get("failed", {})}
        if args.rounding not in costs:
            raise ValueError(f"{args.rounding_json}: no noise.{args.rounding}; compute the roundings again")
        rounded = costs[args.rounding]
    inputs = tensors.load(args.inputs)
    if "target" not in inputs:
        raise ValueError(f"{args.inputs}: no tensor 'target'; make the inputs again")
    return Reference(
        path=args.reference,
        outputs=outputs,
        gradients=tensors.load(args.reference_gradients),
        norms=facts["gradient_norms"],
        noise=facts["noise"],
        inputs_path=args.inputs,
        target=inputs["target"],
        loss_kind=args.loss,
        rounding=args.rounding,
        rounding_noise=rounded,
    )


def validate(
    rounds: list[Process],
    gradients: Mapping[str, np.ndarray],
    reference: Reference,
    tolerances: Mapping[str, float],
    close_factor: float,
    widening: Widening | None = None,
) -> Verdict:
    """The verdict on a cell.

    Rounds that ended well are compared even where others failed, but then there is no verdict.
    Training is judged if round 1, whose gradients are kept, trained to the end. In a lane of reduced
    precision the figures of the parts in verdict.STRICT_ONLY are given and not judged.
    """
    verdict.limits(tolerances, close_factor, widening)  # a wrong one is refused even if nothing is judged
    strict = rounds[0].record.cell.lane == "float32"
    floor = reference.noise if strict else reference.rounding_noise
    measured: dict[str, dict[str, Any]] = {}
    for task in ("inference", "latency"):
        passing = verdict.limits(tolerances, close_factor, widening, floor.get(task))["relative_l2"][0]
        noise = lane_noise(reference, task, None if strict else passing)
        ran = [each for each in rounds if each.ran(task)]
        if figures := {each.number: output_figures(each, task, reference, noise) for each in ran}:
            measured[task] = verdict.worst(figures)
    if tokens := {each.number: token_figures(each, reference) for each in rounds if each.ran("decode")}:
        measured["decode"] = verdict.worst_tokens(tokens)
    if rounds[0].ran("training"):
        loss_errors = {
            each.number: {"loss_error": loss_error(each.record.training_loss, reference.loss)}
            for each in rounds
            if each.ran("training")
        }
        compared = distances.compare_gradients(gradients, reference.gradients, reference.norms)
        measured["training"] = verdict.worst(loss_errors) | compared

    reasons = unmeasured(rounds)
    judged = {"verdict": None, "parts": {}}
    held = {part: measured[part] for part in measured if strict or part not in verdict.STRICT_ONLY}
    if held:
        judged = verdict.judge(held, tolerances, close_factor, widening, floor, reference.rounding)
        reasons += judged["reasons"]
        if judged["reasons"] and reference.rounding and not reference.rounding_noise:
            reasons.append(
                f"nothing widens: what {reference.rounding} costs on these weights was not computed"
            )
        if strict and judged["parts"].get("inference", "pass") != "pass":
            worst = measured["inference"]["rounds"].get("relative_l2")
            reasons += [
                text for each in rounds if each.number == worst for text in computed_in(each, reference)
            ]
    for part, figures in held.items():
        bounds = verdict.limits(tolerances, close_factor, widening, floor.get(part))
        figures |= verdict.applied(figures, tolerances, bounds)
    complete = "inference" in measured and all(each.record.status == "ok" for each in rounds)
    cell = rounds[0].record.cell
    return Verdict(
        platform=cell.platform,
        model=cell.model,
        row=cell.row,
        lane=cell.lane,
        verdict=judged["verdict"] if complete else None,
        parts=Parts(
            **{
                part: codec.build(Part, verdict=judged["parts"].get(part), **finite(measured.get(part, {})))
                for part in verdict.REQUIRED
                if part != "decode" or reference.generates
            },
            quality=text_figures(rounds[0], reference),
        ),
        reasons=reasons,
        noise=reference.noise,
        rounding=reference.rounding,
        rounding_noise=reference.rounding_noise,
    )


def unjudged(rounds: list[Process], reason: dict[str, str]) -> Verdict:
    """That on a cell of a model without weights, or without a reference: none, for this ``reason``."""
    cell = rounds[0].record.cell
    why = codec.decode(Reason, reason)
    return Verdict(
        platform=cell.platform,
        model=cell.model,
        row=cell.row,
        lane=cell.lane,
        parts=Parts(),
        unjudged=why,
        reasons=list(dict.fromkeys([*unmeasured(rounds), f"failed ({why.code}): {why.detail}"])),
        noise={},
    )


def lane_noise(reference: Reference, task: str, relative_l2: float | None) -> float:
    """How far a value of ``task``'s output may move without a mistake, in its units: decides what is a tie.

    float32 (no ``relative_l2``): the max_abs_error of PyTorch. Reduced precision: the root mean square that
    an error has whose relative L2 passes in the lane, if that is more.
    """
    noise = reference.noise[task]["max_abs_error"]
    if relative_l2 is None:
        return noise
    return max(noise, relative_l2 * float(np.sqrt(np.mean(reference.outputs[f"{task}.output"] ** 2))))


def output_figures(this: Process, task: str, reference: Reference, noise: float) -> dict[str, Any]:
    """Figures of one round's output: distances and, for inference, the loss.

    ``loss_error`` is that of the loss recomputed from the output in float64, ``loss_change`` its difference
    from the reference's with its sign; ``printed_loss_error`` is how far the round's own "loss" lies from it.
    """
    name = f"{task}.output"
    if name not in this.outputs:
        return {"shape_ok": False, "finite": False, "note": f"no tensor {name!r} though the task ended well"}
    try:
        figures = distances.compare_output(
            this.outputs[name],
            reference.outputs[name],
            reference.loss_kind,
            noise,
        )
    except ValueError as error:
        raise ValueError(f"{reference.path}: {name}: {error}") from error
    if task == "inference" and figures["shape_ok"] and figures["finite"]:
        try:
            loss = losses.loss(reference.loss_kind, this.outputs[name], reference.target)
        except ValueError as error:
            raise ValueError(f"{reference.inputs_path}: {error}") from error
        figures["loss"] = loss
        figures["loss_change"] = loss - reference.loss
        figures["loss_error"] = loss_error(loss, reference.loss)
        figures["printed_loss_error"] = loss_error(this.record.loss, loss)
    return figures


def computed_in(this: Process, reference: Reference) -> list[str]:
    """In words, the narrower format in which a float32 round was computed, if its output shows one."""
    output, expected = this.outputs.get("inference.output"), reference.outputs["inference.output"]
    if output is None or output.shape != expected.shape or not np.isfinite(output).all():
        return []
    found = precision.narrower(output, expected, this.record.cell.accelerator)
    return [f"inference: {found[1]}"] if found else []


def token_figures(this: Process, reference: Reference) -> dict[str, Any]:
    """Figures of one round's generated tokens."""
    if not reference.generates:
        raise ValueError(f"{reference.path}: no tensor 'decode.tokens'; compute the reference again")
    return distances.compare_tokens(
        this.outputs.get("decode.tokens", np.empty(0, np.int64)),
        reference.outputs["decode.tokens"],
        reference.outputs["decode.margins"],
        reference.noise["decode"]["tie_margin"],
    )


def text_figures(first: Process, reference: Reference) -> contract_verdict.Quality | None:
    """What round 1's users lose of the text that it predicted; None if it predicted none to its end."""
    told = first.record.quality
    if told is None or told.status != "ok":
        return None
    expected = tensors.select(reference.outputs, "quality.")
    if not expected:
        raise ValueError(f"{reference.path}: no tensors 'quality.…'; compute the reference again")
    figures = quality.compare(tensors.select(first.outputs, "quality."), expected)
    return codec.build(contract_verdict.Quality, **finite(figures))


def loss_error(value: float | None, reference: float) -> float:
    """Relative error of a loss; infinite for None, which is how a round writes NaN and infinity."""
    return math.inf if value is None else distances.relative_error(value, reference)


def unmeasured(rounds: list[Process]) -> list[str]:
    """Why there is nothing to judge: rounds and tasks that did not end well, each reason once."""
    reasons: dict[str, list[int]] = {}
    for each in rounds:
        tasks = each.record.tasks
        if each.record.status != "ok":
            reasons.setdefault(explain(each.record), []).append(each.number)
            continue
        for task in verdict.REQUIRED:
            if task == "decode" and task not in tasks:
                continue  # most models do not generate
            if not each.ran(task):
                why = explain(tasks[task]) if task in tasks else "not measured"
                reasons.setdefault(f"{task}: {why}", []).append(each.number)
    told = rounds[0].record.quality  # which round 1 alone has
    predicted = [f"quality: {explain(told)}"] if told and told.status != "ok" else []
    count = len(rounds)
    return [
        text if len(numbers) == count else f"{text} (round {', '.join(map(str, numbers))})"
        for text, numbers in reasons.items()
    ] + predicted


def explain(ended: Round | Task | Quality) -> str:
    """Status, reason code and detail of a round or a task, in words."""
    why = ended.reason
    return f"{ended.status} ({why.code}): {why.detail}" if why else ended.status


def finite(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as JSON can hold them: null for an infinite error."""
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value
        for name, value in figures.items()
    }


if __name__ == "__main__":
    main()
