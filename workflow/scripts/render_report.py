"""Write the report's document as Markdown: the report, which answers, and its details, which have every table.

It is made of this run's analyses and of published CSVs. The layout is the templates'.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jinja2

from arena import files
from reporting.document import inputs
from reporting.writers import markdown


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    inputs.add_arguments(parser)
    parser.add_argument("--template", type=Path, required=True, help="report.md.j2")
    parser.add_argument("--details-template", type=Path, required=True, help="details.md.j2")
    parser.add_argument("--notes", nargs="*", default=[], help="sentences about the frameworks")
    parser.add_argument("--out", type=Path, required=True, help="the report, Markdown")
    parser.add_argument("--details", type=Path, required=True, help="its details, Markdown")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        report = inputs.report(args, args.notes)
        pairs = ((args.template, args.out), (args.details_template, args.details))
        texts = [(path, markdown.render(report, template)) for template, path in pairs]
        for path, text in texts:
            files.write_text(path, text)
    except (OSError, ValueError) as error:
        sys.exit(f"render_report.py: {error}")
    except jinja2.TemplateError as error:
        place = (
            f"{error.filename}:{error.lineno}"
            if isinstance(error, jinja2.TemplateSyntaxError)
            else "a template"
        )
        sys.exit(f"render_report.py: {place}: {error}; correct the template")


if __name__ == "__main__":
    main()
