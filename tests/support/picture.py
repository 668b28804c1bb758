"""Draw docs/report.png: the page of the published tables, with the NVIDIA H200's as this run's.

    .venv-tests/bin/python tests/support/picture.py

It needs Debian's Chromium (apt-get install chromium), or another that ARENA_CHROMIUM names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from arena.configuration import loader  # noqa: E402
from reporting import analysis, catalogue, export, tables  # noqa: E402
from reporting.columns import OWN_STATUSES  # noqa: E402
from reporting.submissions import evidence, table  # noqa: E402

OWN = ROOT / "report" / "published" / "nvidia-h200.jsonl"
SIZE = {"width": 1200, "height": 1060}  # the picture, and speed against its first cost


def main() -> None:
    """Render the page into a temporary folder, photograph it, put the picture into docs/."""
    with tempfile.TemporaryDirectory() as folder:
        page = render(Path(folder))
        part = Path(folder) / "report.png"
        photograph(page, part)
        shutil.copy(part, ROOT / "docs" / "report.png.part")
    (ROOT / "docs" / "report.png.part").replace(ROOT / "docs" / "report.png")


def render(folder: Path) -> Path:
    """The page, as the workflow's own program writes it."""
    config = loader.resolve(loader.read_yaml(ROOT / "config" / "config.yaml"), ROOT)
    captions = {
        name: {"title": model["title"], "url": model["url"], "caveats": model.get("caveats", [])}
        for name, model in config["models"].items()
    }
    published = sorted(OWN.parent.glob("*.csv"))
    known = catalogue.of(config)
    rows = table.recomputed(
        evidence.read(OWN, known), config["gate"], known, config["report"]["least_difference"]
    )
    csv, own = folder / "own.csv", folder / "own.json"
    csv.write_text(export.csv_text(rows), encoding="utf-8")
    analysis.write(own, [row | {"records": []} for row in tables.read([csv], OWN_STATUSES)])
    command = [sys.executable, ROOT / "workflow" / "scripts" / "render_html.py", "--analyses", own]
    command += ["--published", *published]
    command += ["--gate", json.dumps(config["gate"])]
    command += ["--template", ROOT / "report" / "report.html.j2", "--captions", json.dumps(captions)]
    command += ["--html", folder / "report.html", "--json", folder / "report.json"]
    subprocess.run([*map(str, command), "--figures", str(folder / "figures")], check=True)
    return folder / "report.html"


def photograph(page: Path, picture: Path) -> None:
    """The overview as a reader with a window of that size sees it, charts drawn."""
    program = os.environ.get("ARENA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("picture.py: no Chromium; apt-get install chromium, or name one in ARENA_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport=SIZE, color_scheme="light")
        tab.goto(page.as_uri())
        tab.locator("#trade-offs svg").last.wait_for()
        tab.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
