"""The command that measures a cell again, as the reports print it."""

from __future__ import annotations

import shlex

from arena.contract.round import Round


def command(program: str, record: Round) -> str:
    """``results/retry local/ResNet-50/jax``: the cell from the round of ``record`` on, its number if not the first.

    ``program`` is the file that the run left for that purpose (rules/tables.smk).
    """
    place = f"{record.cell.platform}/{record.cell.model}/{record.cell.row}"
    return shlex.join([program, place] + [str(record.round)] * (record.round > 1))
