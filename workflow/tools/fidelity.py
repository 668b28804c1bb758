"""Compare the arena's own timings with those of each engine's own tool, side by side, and print a table.

    .venv-tests/bin/python workflow/tools/fidelity.py

Needs the weights, inputs and exports of a run (below results/) and its environments. Each pair times the
same work with the same threads, in fresh processes that take turns: this side is benchmark.py as the
workflow runs it, the other what the engine's authors give their users. docs/fidelity.md explains the pairs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import library  # noqa: F401
from arena import files
from arena.configuration import frameworks
from arena.configuration.loader import resolve
from arena.contract import codec
from arena.contract import round as rounds
from arena.contract.cell import Cell, Files, Protocol, Sampling, Warmup
from arena.measuring import machine
from reporting.intervals.model import Model
from yardsticks.tools import PAIRS, Pair, Setting, output_of

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
AGREEMENT = (0.95, 1.05)  # a ratio within these needs no explanation
WARMUP = Warmup(min_iterations=3, min_seconds=0.5, max_seconds=5.0, window=5, tolerance=0.05)


def ours(pair: Pair, setting: Setting, python: Path, folder: Path) -> list[float]:
    """The pair's work as the arena times it, in a fresh process: benchmark.py's cell, and its record."""
    catalogue = resolve({"run": {"rows": "all"}}, ROOT)
    framework, lane, options = find_row(catalogue["frameworks"], pair.row)
    model = catalogue["models"][setting.model]
    entry = catalogue["frameworks"][framework]
    reached = reach(entry, pair.row, setting.accelerator)
    cell = Cell(
        platform="fidelity",
        model=setting.model,
        row=pair.row,
        framework=framework,
        lane=lane,
        accelerator=setting.accelerator,
        interface=reached["interface"],
        definition=model["definition"],
        loss=model["loss"],
        options=options | pair.options,
        environment=frameworks.environment(entry, pair.row),
        distribution=reached["distribution"],
        libraries=reached["libraries"],
        threads=setting.threads,
        decode_tokens=2,  # the prefill is what counts
        protocol=Protocol(
            tasks=list(pair.tasks),
            warmup=WARMUP,
            sampling=Sampling(
                min_iterations=10, min_seconds=setting.seconds, max_seconds=4 * setting.seconds
            ),
            exclusive=True,
            offline=True,
            seed=0,
        ),
    )
    paths = Files(
        weights=setting.of_model("model.safetensors"),
        config=setting.of_model("config.json"),
        inputs=setting.of_model("inputs.safetensors"),
        export=setting.export(pair) if pair.export else None,
        cache=folder / "cache",
        result=folder / "result.json",
        outputs=folder / "outputs.safetensors",
        **room(entry, setting.results),
    )
    words = ["--cell", codec.to_text(cell), "--files", codec.to_text(paths), "--round", "1"]
    words += ["--timeout", "900", "--log", str(folder / "process.log")]
    output_of([python, SCRIPTS / "benchmark.py", *words])
    record = rounds.read(paths.result)
    task, name = pair.durations
    if not record.ok(task):
        sys.exit(
            f"{pair.row}: {task} failed: {record.tasks.get(task, record).reason}\n{record.log_tail or ''}"
        )
    return getattr(record.tasks[task], name)


def room(entry: dict[str, Any], results: Path) -> dict[str, Path]:
    """What drives the framework, by its key among a job's files: its adapter, or the program that a run has built."""
    if entry["adapter"]:
        return {"adapter": ROOT / entry["adapter"]}
    folder = results / "engines" / "local" / entry["engine"]
    if not (folder / "build.json").exists():
        sys.exit(f"{folder} has no program; run the workflow with a row of {entry['name']} first")
    return {"program": folder / "program", "build": folder / "build.json"}


def find_row(frameworks: dict[str, Any], row: str) -> tuple[str, str, dict[str, Any]]:
    """(framework, lane, options) of a row of the catalogue."""
    for name, entry in frameworks.items():
        if row in entry["rows"]:
            variant = entry["rows"][row]
            return name, variant["lane"], variant["options"]
    sys.exit(f"config/frameworks/ has no row {row}")


def reach(entry: dict[str, Any], row: str, accelerator: str) -> dict[str, Any]:
    """How the row reaches the accelerator; ends this program if it does not."""
    reached = frameworks.reach(entry, row, accelerator)
    if reached is None:
        sys.exit(f"{row} does not compute on {accelerator}")
    return reached


def environment_of(catalogue: dict[str, Any], row: str, accelerator: str) -> str:
    """The name of the environment in which the row runs there."""
    return reach(catalogue[find_row(catalogue, row)[0]], row, accelerator)["env"]


def environments(names: set[str], prefix: Path) -> dict[str, Path]:
    """Interpreter by name of environment; Snakemake keeps each one's file beside it, below ``prefix``."""
    found = {}
    for name in names:
        wanted = (ROOT / "envs" / f"{name}.yaml").read_bytes()
        built = [file for file in prefix.glob("*.yaml") if file.read_bytes() == wanted]
        interpreters = [file.with_suffix("") / "bin" / "python" for file in built]
        found[name] = next((path for path in interpreters if path.exists()), None)
        if found[name] is None:
            sys.exit(
                f"{prefix} holds no environment made of envs/{name}.yaml; run `make report` first, or\n"
                "snakemake --cores 1 --conda-create-envs-only results/report.md with that row among run.rows"
            )
    return found


def measure(pairs: list[Pair], setting: Setting, rounds: int) -> dict[str, dict[str, list[list[float]]]]:
    """Durations in nanoseconds by row and side, one list a round; every other round the other side starts."""
    samples = {pair.row: {"ours": [], "theirs": []} for pair in pairs}
    catalogue = resolve({"run": {"rows": "all"}}, ROOT)["frameworks"]
    for number in range(1, rounds + 1):
        for pair in pairs:
            python = setting.environments[environment_of(catalogue, pair.row, setting.accelerator)]
            with tempfile.TemporaryDirectory() as folder:
                sides = {
                    "ours": partial(ours, pair, setting, python, Path(folder)),
                    "theirs": partial(pair.theirs, setting, python, setting.export(pair)),
                }
                for side in sides if number % 2 else reversed(sides):
                    samples[pair.row][side].append(sides[side]())
                    middle = np.median(samples[pair.row][side][-1]) / 1e6
                    print(f"round {number}: {pair.row}, {side}: {middle:.3f} ms", file=sys.stderr, flush=True)
    return samples


def table(pairs: list[Pair], samples: dict[str, dict[str, list[list[float]]]]) -> str:
    """The Markdown table: medians in milliseconds, their ratio with its 95 % interval.

    Both sides of every pair ran in every round, so the report's model of a machine's cells holds for them.
    """
    lines = [
        "| Row | Work | Arena (ms) | Tool (ms) | Tool | Arena / tool (95 % interval) | Within 0.95 to 1.05 |",
        "|---|---|---:|---:|---|---|---|",
    ]
    medians = {
        (row, side): [float(np.median(each)) for each in rounds]
        for row, sides in samples.items()
        for side, rounds in sides.items()
    }
    model = Model(medians, dict.fromkeys(medians, ""))
    for pair in pairs:
        own, other = (model.time((pair.row, side)).point / 1e6 for side in ("ours", "theirs"))
        ratio = model.ratio((pair.row, "ours"), (pair.row, "theirs"))
        within = AGREEMENT[0] <= ratio.point <= AGREEMENT[1]
        figures = f"{ratio.point:.3f}"
        if ratio.low is not None:  # one round tells nothing of what varies between processes
            figures += f" ({ratio.low:.3f} to {ratio.high:.3f})"
        lines.append(
            f"| `{pair.row}` | {pair.work} | {own:.2f} | {other:.2f} | {pair.tool} | {figures} "
            f"| {'yes' if within else 'no'} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=PAIRS, help="default: all that the accelerator has")
    parser.add_argument("--accelerator", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--model", default="SmolLM2-135M")
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes of either side (default: 5)")
    parser.add_argument("--seconds", type=float, default=10, help="sampling in each process (default: 10)")
    parser.add_argument("--threads", type=int, default=machine.usable_threads(os.cpu_count() or 1))
    parser.add_argument("--results", type=Path, default=Path("results"), help="of a run (default: results)")
    parser.add_argument("--conda-prefix", type=Path, default=Path(".snakemake/conda"))
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="ENV=PATH",
        help="take this interpreter for an environment, instead of one below --conda-prefix",
    )
    parser.add_argument(
        "--host",
        action="store_true",
        help="take this interpreter for all environments, as profiles/host does",
    )
    parser.add_argument("--llama-bench", type=Path, help="this program, instead of one that is built")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arena"
    parser.add_argument("--cache", type=Path, default=cache, help="where llama-bench is built, once")
    parser.add_argument("--samples", type=Path, help="also write every duration to this JSON file")
    args = parser.parse_args()

    catalogue = resolve({"run": {"rows": "all"}}, ROOT)["frameworks"]
    pairs = [PAIRS[row] for row in args.rows or PAIRS if args.accelerator in PAIRS[row].accelerators]
    needed = {environment_of(catalogue, pair.row, args.accelerator) for pair in pairs}
    given = dict.fromkeys(needed, Path(sys.executable)) if args.host else {}
    given |= {name: Path(path).absolute() for name, path in (each.split("=", 1) for each in args.python)}
    setting = Setting(
        args.results.absolute(),
        args.model,
        args.threads,
        args.seconds,
        given | environments(needed - given.keys(), args.conda_prefix.absolute()),
        args.cache.absolute(),
        args.accelerator,
        args.llama_bench and args.llama_bench.absolute(),
    )
    samples = measure(pairs, setting, args.rounds)
    if args.samples:
        files.write_json(args.samples, samples)
    print(table(pairs, samples))


if __name__ == "__main__":
    main()
