"""How long Snakemake plans a large run: dry runs of generated configurations, as a Markdown table.

Nothing is measured or built. A line is the worst case, in which nothing is made yet: reading and checking
the configuration, and building the graph of jobs. Seconds are of processor time, on one core, so that other
load counts little; memory is the largest resident set.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]


class Size(NamedTuple):
    """Numbers of what is multiplied."""

    platforms: int
    frameworks: int
    models: int
    rounds: int

    @property
    def measurements(self) -> int:
        return self.platforms * self.frameworks * self.models * self.rounds


# Starts a command, and says its processor seconds and ru_maxrss (Linux: KiB, macOS: bytes). It stands between
# because a child's ru_maxrss begins at the size of the process that started it, which may be large.
METER = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(status)
"""
SIZES = (Size(5, 5, 4, 5), Size(5, 10, 10, 5), Size(10, 20, 10, 5), Size(50, 20, 10, 5))


def overlay(size: Size, framework: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """A configuration of that size: copies of a framework and of a model, and platforms of a cluster."""
    rows = [f"row-{number}" for number in range(size.frameworks)]
    models = [f"model-{number}" for number in range(size.models)]
    cluster = {"partition": "gpu", "gres": "gpu:1", "cpus": 8}
    platforms = [
        {"name": f"platform-{number}", "accelerator": "cuda", "cluster": cluster}
        for number in range(size.platforms)
    ]
    row = next(iter(framework["rows"].values()))
    adapter = "workflow/scripts/frameworks/onnxruntime/adapter.py"
    common = {key: value for key, value in framework.items() if key != "exports"}
    common |= {"adapter": adapter, "env": "onnxruntime", "distribution": "onnxruntime"}
    frameworks = {f"framework-{name}": common | {"rows": {name: row | {"label": name}}} for name in rows}
    return {
        "run": {"models": models, "rows": rows, "baseline": rows[0]},
        "platforms": platforms,
        "protocol": {"rounds": size.rounds},
        "frameworks": frameworks,
        "models": dict.fromkeys(models, model | {"weights": "seeded"}),
    }


def read(path: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def dry_run(size: Size, *arguments: str) -> tuple[float, float]:
    """Processor seconds and MB of a dry run of that size.

    Raises SystemExit with Snakemake's message if it refuses.
    """
    framework = read("config/frameworks/onnxruntime.yaml")["frameworks"]["onnxruntime"]
    model = read("config/models/ResNet-50.yaml")["models"]["ResNet-50"]
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        config = Path(folder) / "config.yaml"
        dumper = type("Plain", (yaml.SafeDumper,), {"ignore_aliases": lambda self, data: True})
        config.write_text(yaml.dump(overlay(size, framework, model), Dumper=dumper))
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--dry-run",
            "--quiet",
            "rules",
            "progress",
            "--cores",
            "8",
        ]
        command += ["--configfile", str(config), "--directory", folder, *arguments]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with open(Path(folder) / "log", "w+b") as log:
            done = subprocess.run(
                [sys.executable, "-c", METER, *command],
                cwd=ROOT,
                env=os.environ | {"PATH": path},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            log.seek(0)
            text = log.read().decode(errors="replace")
    if done.returncode:
        raise SystemExit(f"{size}: {text[-2000:]}")
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def parsed(text: str) -> Size:
    return Size(*map(int, text.split("x")))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=parsed, nargs="*", default=SIZES, metavar="PxFxMxR",
        help="platforms, frameworks, models and rounds, such as 50x20x10x5",
    )  # fmt: skip
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments for Snakemake")
    args = parser.parse_args()
    print("| platforms × frameworks × models × rounds | measurements | seconds | ms each | memory, MB |")  # noqa: RUF001
    print("|---|---:|---:|---:|---:|")
    for size in args.size:
        seconds, memory = dry_run(size, *args.arguments)
        shape = " × ".join(map(str, size))  # noqa: RUF001
        each = 1000 * seconds / size.measurements
        print(f"| {shape} | {size.measurements:,} | {seconds:.0f} | {each:.2f} | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
