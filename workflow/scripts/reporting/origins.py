"""Which weights a row ran: the mark where they differ within a table, and the check of a known loss."""

from __future__ import annotations

from reporting import markdown as md
from reporting.columns import Row

MARKS = ("◇", "◆", "○", "●")


def mark(rows: list[Row]) -> list[md.Markdown]:
    """Mark, in place, the rows whose weights are not the first row's; a note for each of the others.

    The first row is one of this run. Rows published without a word on their weights are not marked
    here: their source has a mark of its own.
    """
    known = list(dict.fromkeys(row["weights"] for row in rows if row.get("weights")))
    marks = {
        weights: MARKS[number] if number < len(MARKS) else f"{MARKS[0]}{number + 1}"
        for number, weights in enumerate(known[1:])
    }
    for row in rows:
        row["weights_mark"] = marks.get(row.get("weights"))
    return [
        md.Markdown(f"{sign} Ran other weights, so that its loss is another: {md.escaped(weights)}.")
        for weights, sign in marks.items()
    ]


def loss_check(rows: list[Row], expected: float | None) -> md.Markdown | None:
    """Whether the hub's weights give the loss that is ``expected`` of them, to two decimals.

    Judged by the rows in float32 that pass, which agree with the reference far more closely. None where
    nothing is expected, or no such row ran the hub's weights.
    """
    losses = [
        row["loss"]
        for row in rows
        if row["status"] == "pass" and row["lane"] == "float32" and row["weights"].startswith("hub ")
    ]
    if expected is None or not losses:
        return None
    worst = max(losses, key=lambda loss: abs(loss - expected))
    if abs(worst - expected) <= 0.005:
        return md.Markdown(f"Check of the hub's weights: the loss is {worst:.2f}, as is known of them.")
    return md.Markdown(
        f"**Check of the hub's weights failed**: the loss is {worst:.2f}, {expected:.2f} is known of them. "
        "These are other weights or inputs, or the loss is another."
    )
