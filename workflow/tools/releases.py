"""Measure a framework's older pins against the present ones, taking turns in one run (`make releases`).

    python workflow/tools/releases.py jax --old v0.1.0 --models ResNet-50 -- --cores 2
    python workflow/tools/releases.py jax --old HEAD~1 --configfile config/test.yaml --directory /tmp/mini -- --cores 2

--old is the commit whose envs/ have the older pins. The rows of the run's configuration that are the framework's are
measured twice: as they are, and with the older environment as ROW-before; all else (adapter, weights, exports,
protocol) is this checkout's. The report in --directory then says what the release changed, and
`results/platforms/releases.csv`, copied into report/releases/ under a name of its own, says so in every report.

For times that are to be told, the machine has nothing else to do, and `protocol.rounds` is 3 or more.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

import library
from arena import files
from arena.configuration import frameworks as catalogue
from arena.configuration.loader import catalogues
from reporting.releases import BEFORE

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = "releases"


def overlay(name: str, entry: dict[str, Any], rows: list[str], models: list[str] | None) -> dict[str, Any]:
    """A configuration that measures the framework's ``rows`` with both environments."""
    again = {
        f"{row}{BEFORE}": entry["rows"][row] | {"label": f"{entry['rows'][row]['label']} before"}
        for row in rows
    }
    older = {key: value for key, value in entry.items() if key not in ("exports", "engine")}
    older |= {"env": f"{name}{BEFORE}", "rows": again, "name": f"{entry['name']} before"}
    run = {"rows": [each for row in rows for each in (row, f"{row}{BEFORE}")], "baseline": rows[0]}
    return {
        "run": run | ({"models": models} if models else {}),
        "platforms": [{"name": PLATFORM}],
        "frameworks": {f"{name}{BEFORE}": older},
    }


def older_environment(root: Path, commit: str, env: str) -> str:
    """The text of an environment at a commit. Raises ValueError with git's message if there is none."""
    command = ["git", "-C", str(root), "show", f"{commit}:envs/{env}.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"--old {commit}: {done.stderr.strip()}")
    if done.stdout == (root / "envs" / f"{env}.yaml").read_text(encoding="utf-8"):
        raise ValueError(f"--old {commit}: envs/{env}.yaml is the same there; name an older commit")
    return done.stdout


def chosen(name: str, rows: list[str] | None) -> tuple[dict[str, Any], list[str]]:
    """The framework's entry and which of its rows to measure. Raises ValueError for what is not in the catalogue."""
    known = catalogues(ROOT)["frameworks"]
    catalogue.complete(known, ROOT)
    if name not in known:
        raise ValueError(f"{name}: no framework of the catalogue; expected one of {', '.join(known)}")
    entry = known[name]
    if entry.get("engine"):
        raise ValueError(
            f"{name}: an engine's older crates are another workspace; measure in two runs, then `make since`"
        )
    default = [
        row
        for row in entry["rows"]
        if row in yaml.safe_load((ROOT / "config/config.yaml").read_text())["run"]["rows"]
    ]
    wanted = rows or default or list(entry["rows"])[:1]
    if unknown := [row for row in wanted if row not in entry["rows"]]:
        raise ValueError(f"--rows: {', '.join(unknown)}: {name} has {', '.join(entry['rows'])}")
    return entry, wanted


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("framework", help="its id in the catalogue")
    parser.add_argument("--old", default="HEAD~1", help="commit with the older pins (default: %(default)s)")
    parser.add_argument("--rows", nargs="+", help="ids of its rows (default: those of config/config.yaml)")
    parser.add_argument("--models", nargs="+", help="models to run (default: those of the configuration)")
    parser.add_argument(
        "--configfile", nargs="+", type=Path, default=[], help="overlays to lay below this one"
    )
    parser.add_argument(
        "--directory", type=Path, required=True, help="where results/ of this comparison are kept"
    )
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments for Snakemake")
    ours, theirs = library.split_at_dashes(sys.argv[1:])
    args = parser.parse_args(ours)
    environment = ROOT / "envs" / f"{args.framework}{BEFORE}.yaml"
    try:
        entry, rows = chosen(args.framework, args.rows)
        text = older_environment(ROOT, args.old, entry["env"])
    except ValueError as error:
        print(f"releases.py: {error}", file=sys.stderr)
        return 2
    config = (args.directory / "results" / "releases.yaml").absolute()
    files.write_text(config, yaml.safe_dump(overlay(args.framework, entry, rows, args.models)))
    files.write_text(environment, text)
    command = [*library.SNAKEMAKE, "--snakefile", str(ROOT / "Snakefile"), *theirs]
    command += ["--directory", str(args.directory), "--configfile", *map(str, [*args.configfile, config])]
    targets = ["results/report.md", "results/report.html"]
    try:
        return subprocess.run([*command, "--", *targets], cwd=ROOT, check=False).returncode
    finally:
        environment.unlink()


if __name__ == "__main__":
    sys.exit(main())
