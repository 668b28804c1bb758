"""Render the page for people (HTML), its twin for machines (JSON) and a figure a model (SVG).

All are made of the platform CSVs of this run and of published ones; the records of this run's rounds and
verdicts stand behind its cells. docs/report.md describes the page, workflow/schemas/report.schema.json the
JSON. If the JSON file holds an earlier report, both say what changed since.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jinja2

from arena import files
from render_report import check_complete, parse_captions
from reporting import findings, intake
from reporting.columns import OWN_STATUSES, PUBLISHED_STATUSES
from reporting.html import charts, document
from reporting.html import evidence as behind


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--platforms", nargs="+", type=Path, required=True, help="CSVs of this run")
    parser.add_argument("--published", nargs="*", type=Path, default=[], help="CSVs measured elsewhere")
    parser.add_argument("--rounds", nargs="*", type=Path, default=[], help="round-*.json of this run's cells")
    parser.add_argument(
        "--validations", nargs="*", type=Path, default=[], help="verdicts on this run's cells"
    )
    parser.add_argument("--retry", required=True, help="the program that measures a cell again")
    parser.add_argument("--template", type=Path, required=True, help="report.html.j2, with html/ beside it")
    parser.add_argument("--captions", required=True, help="JSON: {model: {title, url, caveats: [text]}}")
    parser.add_argument("--html", type=Path, required=True, help="the page")
    parser.add_argument("--json", type=Path, required=True, help="the same for machines; read first if there")
    parser.add_argument("--figures", type=Path, required=True, help="folder for MODEL.svg")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        render(args)
    except (OSError, ValueError) as error:
        sys.exit(f"render_html.py: {error}")
    except jinja2.TemplateError as error:
        line = f":{error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        sys.exit(f"render_html.py: {args.template}{line}: {error}; correct the template")


def render(args: argparse.Namespace) -> None:
    """Write every output, the JSON last: it is what the next report compares itself with."""
    own = intake.read(args.platforms, OWN_STATUSES)
    check_complete(own, args.platforms)
    captions = parse_captions(args.captions, own)
    published = intake.read(args.published, PUBLISHED_STATUSES)
    found = findings.find(own, published)
    told = document.summary(own, published, found, document.read_previous(args.json))
    evidence = behind.collect(own, args.rounds, args.validations, args.retry)
    figures = {}
    for model in told["models"]:
        tasks = document.figure_rows([row for row in own if row["model"] == model])
        if tasks:
            figures[model] = charts.svg(f"{model} on {own[0]['platform']}", tasks)
            files.write_text(args.figures / f"{model}.svg", charts.standalone(figures[model]))
    page = document.page(own, published, found, told, captions, evidence, figures, args.template)
    files.write_text(args.html, page)
    files.write_json(args.json, told)


if __name__ == "__main__":
    main()
