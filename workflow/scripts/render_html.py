"""Write the report's document as a page for people (HTML), for machines (JSON) and as a figure a model (SVG).

It is made of this run's analyses and of published CSVs; the records of this run's rounds and verdicts stand behind
its cells. docs/report.md describes the page, workflow/schemas/report.schema.json the JSON. If the JSON file holds
an earlier report, both say what changed since.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import jinja2

from arena import files
from reporting.document import inputs
from reporting.html import charts, document
from reporting.html import evidence as behind
from reporting.writers import charts as data
from reporting.writers import machine


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    inputs.add_arguments(parser)
    parser.add_argument("--rounds", nargs="*", type=Path, default=[], help="round-*.json of this run's cells")
    parser.add_argument(
        "--validations", nargs="*", type=Path, default=[], help="verdicts on this run's cells"
    )
    parser.add_argument(
        "--sentences",
        type=json.loads,
        default={},
        help="JSON {key: the sentence that it stands for in records}",
    )
    parser.add_argument("--template", type=Path, required=True, help="report.html.j2, with html/ beside it")
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
    report = inputs.report(args)
    told = machine.content(report, machine.read_previous(args.json))
    evidence = behind.collect(report.lines(), args.rounds, args.validations, args.gate or {}, args.sentences)
    before = inputs.earlier(args, report.own)
    figures = {}
    args.figures.mkdir(parents=True, exist_ok=True)  # promised, even where no model has a figure
    for model in report.models:
        bars = data.bars(model)
        if bars:
            figures[model.name] = charts.svg(f"{model.name} on {model.lines[0].machine}", bars)
            files.write_text(args.figures / f"{model.name}.svg", charts.standalone(figures[model.name]))
    files.write_text(args.html, document.page(report, told, evidence, figures, before, args.template))
    files.write_json(args.json, told)


if __name__ == "__main__":
    main()
