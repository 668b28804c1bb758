"""The table of a submission, recomputed: medians, intervals and ranks from its samples, verdicts from its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from arena.contract.verdict import Parts, Verdict
from arena.judging import verdict as judging
from arena.judging.widening import parted
from arena.weights import source
from reporting import rows
from reporting.columns import Row
from reporting.rounds import RecordedCell
from reporting.submissions.evidence import Submission
from reporting.submissions.verdicts_held import judge

Gate = Mapping[str, Mapping[str, float]]


def recomputed(
    submission: Submission, gate: Gate, catalogue: Mapping[str, Any], least_difference: float
) -> list[Row]:
    """The rows of a submission, by this project's code and tolerances.

    ``gate`` has the configured tolerances and close_factor by lane; ``catalogue`` is this project's: besides what
    ``evidence.read`` takes of it, each row's ``label`` and ``options``, ``float32_rows`` and each model's ``work``.
    A row that the project does not know, or that ran with other options, goes by its id and not by a name that the
    file might give it. Raises ValueError where the gate lacks a lane of the records.
    """
    for cell in submission.cells:
        lane = cell.rounds[0].cell.lane
        if lane not in gate:
            raise ValueError(
                f"{cell.paths[0]}: lane {lane!r} has no tolerances; expected one of {', '.join(gate)}"
            )
    cells = [_judged(cell, submission.gate, gate) for cell in submission.cells]
    models = {cell.model: submission.models[cell.model] for cell in cells}
    found = rows.rows(
        cells,
        submission.label,
        submission.baseline,
        {name: source.of(model["source"]) for name, model in models.items()},
        labels={cell.row: label(cell, catalogue) for cell in cells},
        float32_rows=catalogue.get("float32_rows", {}),
        work={name: work for name, work in catalogue.get("work", {}).items() if name in models},
        least_difference=least_difference,
    )
    for each in submission.unmeasured:
        known = catalogue.get("rows", {}).get(each.row)
        words = source.of(models[each.model]["source"]) if each.model in models else None
        name = known["label"] if known else each.row
        found.append(
            rows.not_measured(each, found[0], name, words, catalogue.get("work", {}).get(each.model))
        )
    order = [*models, *dict.fromkeys(each.model for each in submission.unmeasured)]
    found.sort(key=lambda row: order.index(row["model"]))
    # To try again is for those who have the machine.
    return [row | {"measured_by": submission.measured_by or rows.MEASURED_BY, "retry": None} for row in found]


def label(cell: RecordedCell, catalogue: Mapping[str, Any]) -> str:
    """What the cell's row is called in the reports."""
    known = catalogue.get("rows", {}).get(cell.row)
    if known is None:
        return cell.row
    name: str = known["label"]
    return name if cell.rounds[0].cell.options == known["options"] else f"{name} (other options)"


def _judged(cell: RecordedCell, theirs: Gate, ours: Gate) -> RecordedCell:
    """The cell with the verdict that its figures have under our tolerances.

    A claim that is worse than its figures are stays: a figure that overflowed is null in a record.
    """
    claimed = cell.verdict
    if claimed.verdict is None:
        return cell
    again, _ = judge(claimed, theirs[claimed.lane])
    here, reasons = judge(claimed, ours[claimed.lane])
    rank = judging.VERDICTS.index
    verdict = here if again == claimed.verdict else max(here, claimed.verdict, key=rank)
    held = replace(claimed, parts=_held(claimed, ours[claimed.lane]))
    if verdict == claimed.verdict:
        return replace(cell, verdict=held)
    words = [f"{part}: {why}" for part, why in reasons]
    return replace(cell, verdict=_with(held, verdict, words))


def _held(claimed: Verdict, ours: Mapping[str, float]) -> Parts:
    """The parts of a verdict with the tolerances that are ours, in place of those that it says it was held to."""
    tolerances, factor, widening = parted(ours)
    parts = dict(vars(claimed.parts))
    for name, figures in parts.items():
        if figures is None or name not in judging.REQUIRED or figures.verdict is None:
            continue
        bounds = judging.limits(tolerances, factor, widening, claimed.lane_noise.get(name))
        parts[name] = replace(figures, **judging.applied(vars(figures), tolerances, bounds))
    return Parts(**parts)


def _with(claimed: Verdict, verdict: str, reasons: list[str]) -> Verdict:
    return replace(claimed, verdict=verdict, reasons=reasons)  # type: ignore[arg-type]
