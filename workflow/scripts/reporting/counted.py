"""Which of the rounds that lie in a results directory count, and which verdict is on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from arena.contract import decision


def counted(results: Path, platform: str, rounds: Iterable[Path]) -> tuple[list[Path], dict[str, Path]]:
    """Of ``rounds`` (``benchmarks/{platform}/MODEL/ROW/round-N.json``) those that count, and the file of each cell's
    verdict, by MODEL/ROW.

    As many count as were decided (``protocol.adaptive``): of a cell that was measured again and needs fewer now, later
    ones may still lie there. Whether the verdicts exist is not looked at.
    Raises ContractError if the decision cannot be read.
    """
    account = results / "adaptive" / f"{platform}.json"
    known = decision.read(account) if account.exists() else None
    by_cell: dict[str, list[Path]] = defaultdict(list)
    for path in rounds:
        by_cell[f"{path.parent.parent.name}/{path.parent.name}"].append(path)
    found: list[Path] = []
    verdicts: dict[str, Path] = {}
    for cell, paths in by_cell.items():
        verdicts[cell] = results / "validation" / platform / f"{cell}.json"
        # With more than may be decided, a later run has planned them.
        if known and cell in known.cells and len(paths) <= known.max_rounds:
            number = known.cells[cell].rounds
            paths = [path for path in paths if int(path.stem.removeprefix("round-")) <= number]
            if number > known.planned:
                verdicts[cell] = verdicts[cell].with_suffix("") / f"rounds-{number}.json"
        found += paths
    return found, verdicts
