"""Which weights and precision a row ran, where its table does not say: marks, and the check of a known loss."""

from __future__ import annotations

from arena.weights import source
from reporting import markdown as md
from reporting import standing
from reporting.columns import Row

MARKS = ("◇", "◆", "○", "●")
#: Published sources that say float32, or nothing, and ask their framework for TF32 on NVIDIA's cards: by whom they are
#: measured, the framework, and the call in their code.
ASKS_FOR_TF32 = {("kvark/inferena", "PyTorch"): 'set_float32_matmul_precision("high")'}


def weights_of(rows: list[Row]) -> dict[int, str]:
    """By ``id`` of a row, what its weights are called: their source in the words of the first row that ran the same
    file, by its sum, and of two files from one source the later one by its sum too. Rows without a word on their
    weights are left out.
    """
    called: dict[str, str] = {}  # by a file's sum
    first: dict[
        str, tuple[str, str]
    ] = {}  # by what tells a source from others: its words, and the sum of its file
    found = {}
    for row in rows:
        words, sha256 = row.get("weights"), str(row.get("weights_sha256") or "")
        if not words:
            continue
        which = source.which(words)
        known, its_file = first.setdefault(which, (words, sha256))
        if sha256 and sha256 not in called:
            same = its_file in ("", sha256)
            called[sha256] = known if same else f"{words}, yet another file (sha256 {sha256[:12]})"
            first[which] = (known, its_file or sha256)
        found[id(row)] = called[sha256] if sha256 else known
    return found


def marks(rows: list[Row]) -> dict[str, str]:
    """The marks of weights that are not the first row's, by what ``weights_of`` calls them.

    The first row is one of this run. Rows published without a word on their weights get none: their source has a
    mark of its own.
    """
    known = list(dict.fromkeys(weights_of(rows).values()))
    return {
        weights: MARKS[number] if number < len(MARKS) else f"{MARKS[0]}{number + 1}"
        for number, weights in enumerate(known[1:])
    }


def mark_note(marked: tuple[str, str]) -> md.Markdown:
    """What to say of weights and their mark."""
    weights, sign = marked
    return md.Markdown(f"{sign} Ran other weights, so that its loss is another: {md.escaped(weights)}.")


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


def asks_for(row: Row) -> str | None:
    """``TF32`` where a published row's own code asks for it, though the row names no precision; else None.

    Known of the original's own tables alone, not of a file that names it.
    """
    if (
        row.get("evidence") != standing.ORIGINAL
        or row.get("lane")
        or not row["platform"].startswith("NVIDIA")
    ):
        return None
    return "TF32" if (row.get("measured_by"), row["framework"].split()[0]) in ASKS_FOR_TF32 else None


def precision_note(rows: list[Row]) -> str | None:
    """What is to be said of the precision of one source's ``rows``; None where they are what they say."""
    asked = {(row["measured_by"], row["framework"].split()[0]) for row in rows if asks_for(row)}
    calls = [f"{framework} asks for TF32 ({ASKS_FOR_TF32[by, framework]})" for by, framework in sorted(asked)]
    if not calls:
        return None
    return f"on NVIDIA cards {' and '.join(calls)}, so those rows are not float32"
