"""A small run, the same every time, as each writer of the report writes it; tests/reporting/golden/ has the texts.

    .venv-tests/bin/python tests/support/golden.py

writes them anew, after a change that is meant to change them. `git diff` then shows what readers will see.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path += [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests" / "support")]

import records  # noqa: E402
from arena.configuration import loader  # noqa: E402
from platform_csv import own_csv  # noqa: E402
from reporting import analysis, intake  # noqa: E402
from reporting.document import build  # noqa: E402
from reporting.html import document  # noqa: E402
from reporting.html import evidence as behind  # noqa: E402
from reporting.writers import charts, machine, markdown  # noqa: E402

GOLDEN = ROOT / "tests" / "reporting" / "golden"
PUBLISHED = GOLDEN / "published.csv"
WRITTEN = ("report.md", "details.md", "report.json", "local.csv", "page.txt", "bars.json")
ROWS = ("eager", "compiled", "onnx", "jax", "burn", "candle")
#: ms of each row's inference, and the gate's verdict.
TIMES = {"eager": 40.0, "compiled": 39.8, "onnx": 25.0, "jax": 18.0, "candle": 90.0}
VERDICTS = {"eager": "pass", "compiled": "pass", "onnx": "pass", "jax": "different", "candle": "close"}
OBJECTIONS = {
    "jax": ["training: gradient cosine 0.71 < 0.99 (model.norm.weight)"],
    "candle": ["inference: relative L2 3.1e-4 > 1e-4", "latency: relative L2 2.9e-4 > 1e-4"],
}
#: Of rows that predicted a text: perplexity (the reference's is 60), its change's error, top-1, mean KL and its error.
LOST = {
    "eager": (60.0, 2e-9, 1.0, 2e-12, 1e-13),
    "onnx": (61.5, 0.003, 0.97, 4e-3, 5e-4),
    "candle": (72.0, 0.01, 0.81, 0.21, 0.02),
}
CAPTIONS = {"Tiny": {"title": "Tiny model", "url": "https://example.org/tiny", "caveats": ["Runs *once*."]}}


def samples(milliseconds: float, number: int) -> list[int]:
    """Twelve durations in ns that no generator of random numbers makes: around a level that moves by process."""
    level = milliseconds * 1e6 * (1 + 0.004 * (number - 2))
    return [round(level * (1 + 0.001 * ((7 * at) % 11 - 5))) for at in range(12)]


def rounds(times: dict[str, float]) -> list[dict[str, Any]]:
    """Three rounds of each row: one has no training, one fails."""
    found = []
    for row in ROWS:
        for number in (1, 2, 3):
            if row == "burn":
                code, detail = (
                    ("crashed", "signal 11") if number == 1 else ("skipped", "round 1 did not end well")
                )
                found.append(records.failed(row, number, code, detail))
                continue
            tasks = {
                task: records.ok_task(
                    compile_s=2.5 / number,
                    warmup_ns=samples(times[row] * factor * 2, number)[:3],
                    samples_ns=samples(times[row] * factor, number),
                )
                for task, factor in zip(records.TASKS, (1, 0.1, 3), strict=True)
            }
            if row == "onnx":
                tasks["training"] = records.ended_task("unsupported", "no-training", "it only infers")
            text = {"status": "ok", "reason": None, "tokens": 2048, "loss": 4.1, "seconds": 3.5}
            predicted = text if row in LOST and number == 1 else None
            found.append(records.round_record(row, number, tasks=tasks, quality=predicted))
    return found


def verdicts() -> list[dict[str, Any]]:
    found = [records.verdict_record(row, VERDICTS.get(row), reasons=OBJECTIONS.get(row, [])) for row in ROWS]
    for record in found:
        record["parts"]["quality"] = quality(record["row"])
    return found


def quality(row: str) -> dict[str, Any] | None:
    """The figures of LOST, as a verdict has them."""
    if row not in LOST:
        return None
    perplexity, error, top1, kl, kl_error = LOST[row]
    return {
        "tokens": 2048,
        "kl_positions": 128,
        "reference_perplexity": 60.0,
        "perplexity": perplexity,
        "perplexity_change": perplexity / 60 - 1,
        "perplexity_change_error": error,
        "top1_agreement": top1,
        "mean_kl": kl,
        "mean_kl_error": kl_error,
        "note": None,
    }


def written(directory: Path, times: dict[str, float] | None = None) -> dict[str, str]:
    """The texts by name, made in ``directory``; ``times`` replaces the ms of rows."""
    with _inside(directory):
        return _written(TIMES | (times or {}))


def _written(times: dict[str, float]) -> dict[str, str]:
    table = own_csv(Path(), rounds(times), verdicts(), ROWS)
    published = [row | {"records": [PUBLISHED.name]} for row in intake.published([PUBLISHED])]
    own = analysis.read([Path("local.json")])
    report = build.report(own, published, CAPTIONS, ["JAX: it is\ngolden."])
    told = machine.content(report, None)
    evidence = behind.collect(
        report.lines(),
        sorted(Path().glob("benchmarks/*/*/*/*.json")),
        sorted(Path().glob("validation/*/*/*.json")),
        loader.read_yaml(ROOT / "config" / "config.yaml")["gate"],
    )
    page = document.page(report, told, evidence, {}, {}, ROOT / "report" / "report.html.j2")
    (bars,) = map(charts.bars, report.models)
    return {
        "report.md": markdown.render(report, ROOT / "report" / "report.md.j2"),
        "details.md": markdown.render(report, ROOT / "report" / "details.md.j2"),
        "report.json": _json(told),
        "local.csv": table.read_text(encoding="utf-8"),
        "page.txt": "\n".join(line for line in page.splitlines() if line.startswith("<tr")) + "\n",
        "bars.json": _json({quantity.title: rows for quantity, rows in bars.items()}),
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


@contextmanager
def _inside(directory: Path) -> Iterator[None]:
    """With this working directory, so that the paths of records are relative."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as directory:
        texts = written(Path(directory))
    for name, text in texts.items():
        part = GOLDEN / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(GOLDEN / name)
        print(GOLDEN / name)


if __name__ == "__main__":
    main()
