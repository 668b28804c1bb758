"""Run one cell in miniature, once, and say what came of it (`make try`): for whoever writes an adapter or a definition.

    python workflow/tools/try_cell.py --row jax --model ResNet-50
    python workflow/tools/try_cell.py --row my-row --model ResNet-50 --configfile my.yaml -- --cores 4

The models have the sizes of config/test.yaml, so a cell takes seconds and its times mean nothing; its verdict does.
Everything lies in --directory, where the next call finds the weights, the reference and the exports again.

Exit status: 0 if the cell passes, 1 if it does not, 2 if there is nothing to judge; Snakemake's if that refuses.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import library
from arena.configuration import frameworks, loader
from arena.contract import codec
from arena.contract import round as rounds
from arena.contract import verdict as verdicts
from reporting import stated

ROOT = Path(__file__).resolve().parents[2]
MINIATURE = ROOT / "config" / "test.yaml"
PLATFORM = "local"


def overlay(row: str, model: str) -> dict[str, Any]:
    """A configuration of one process of this cell."""
    return {"run": {"models": [model], "rows": [row], "baseline": row}, "protocol": {"rounds": 1}}


def remedy(record: rounds.Round) -> list[str]:
    """What to write where a model is refused only once an export or a process has started for it, ready to paste."""
    if record.status != "unsupported" or record.cell.unsupported or not record.reason:
        return []
    if not record.reason.code.startswith("unsupported"):
        return []
    reason = {"code": record.reason.code, "why": record.reason.detail}
    framework, model = record.cell.framework, record.cell.model
    told = yaml.safe_dump(
        {"frameworks": {framework: {"unsupported": {model: reason}}}}, width=1000, sort_keys=False
    )
    head = (
        f"  Said in config/frameworks/{framework}.yaml or an overlay, nothing is exported or started for it:"
    )
    return [head, *(f"    {line}" for line in told.splitlines())]


def configured(overlays: list[Path]) -> dict[str, Any]:
    """The configuration with these overlays, which a run has just taken."""
    user: Any = loader.read_yaml(ROOT / "config" / "config.yaml")
    for path in overlays:
        user = loader.merge(user, loader.read_yaml(path))
    return loader.resolve(user, ROOT)


def told(results: Path, model: str, row: str, catalogue: Mapping[str, Any]) -> tuple[list[str], int]:
    """Lines that say how the cell ended, and the exit status. ``catalogue``: the configuration's frameworks.

    Raises OSError or ContractError without the cell's records.
    """
    cell = f"{PLATFORM}/{model}/{row}"
    record = rounds.read(results / "benchmarks" / cell / "round-1.json")
    verdict = verdicts.read(results / "validation" / f"{cell}.json")
    ended = verdict.verdict or "not judged" if record.status == "ok" else record.status
    lines = [f"{model} in {row}: {ended}"]
    for name in ("version", "backend", "device"):
        if getattr(record, name, None):
            lines.append(f"  {name}: {getattr(record, name)}")
    for name, task in record.tasks.items():
        if task.status == "ok":
            middle = sorted(task.samples_ns)[len(task.samples_ns) // 2] / 1e6
            lines.append(f"  {name}: {middle:.3f} ms, first result after {task.compile_s:.2f} s")
        else:
            lines.append(f"  {name}: {task.status}, {task.reason.code}: {task.reason.detail}")
    if record.reason:
        lines.append(f"  {record.reason.code}: {record.reason.detail}")
    lines += [f"  {reason}" for reason in verdict.reasons]
    lines += remedy(record)
    if record.status == "failed":
        lines.append(f"  its output: {results / 'logs' / 'benchmark' / cell / 'round-1.log'}")
    sentences = frameworks.sentences(catalogue.get("frameworks", {}))
    return stated.in_full(lines, sentences), 0 if ended == "pass" else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", required=True, help="id of the row, of the catalogue or of a --configfile")
    parser.add_argument("--model", required=True, help="id of the model")
    parser.add_argument(
        "--configfile", nargs="+", type=Path, default=[], help="overlays, such as one with a new row"
    )
    parser.add_argument(
        "--directory", type=Path, default=ROOT / ".snakemake" / "try", help="where results/ is kept"
    )
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments for Snakemake")
    args = parser.parse_args()
    args.directory.mkdir(parents=True, exist_ok=True)
    results = args.directory / "results"
    target = f"results/validation/{PLATFORM}/{args.model}/{args.row}.json"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as chosen:
        yaml.safe_dump(overlay(args.row, args.model), chosen)
        chosen.flush()
        command = [*library.SNAKEMAKE, "--snakefile", str(ROOT / "Snakefile")]
        command += ["--cores", "all", "--quiet", "rules", "progress", "--directory", str(args.directory)]
        command += ["--conda-prefix", str(ROOT / ".snakemake" / "conda"), *args.arguments]
        overlays = [MINIATURE, *args.configfile, Path(chosen.name)]
        command += ["--configfile", *(str(path.absolute()) for path in overlays), "--", target]
        ended = subprocess.run(command, check=False).returncode
    if ended:
        return ended
    try:
        lines, status = told(results, args.model, args.row, configured([MINIATURE, *args.configfile]))
    except (OSError, codec.ContractError) as error:
        print(f"try_cell.py: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
