"""Render the report: this run's platform CSVs beside the published ones, as Markdown.

The columns of a CSV are described in docs/platform-csv.md. The layout is the template's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from arena import files
from reporting import comparison, details, origins, precision, scale_axis, serving, tables
from reporting import markdown as md
from reporting.columns import NAMES, OWN_STATUSES, PUBLISHED_STATUSES, TASKS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--platforms", nargs="+", type=Path, required=True, help="CSVs of this run")
    parser.add_argument("--published", nargs="*", type=Path, default=[], help="CSVs measured elsewhere")
    parser.add_argument("--template", type=Path, required=True, help="report.md.j2")
    parser.add_argument("--captions", required=True, help="JSON: {model: {title, url, caveats: [text]}}")
    parser.add_argument("--notes", nargs="*", default=[], help="sentences about the frameworks")
    parser.add_argument("--out", type=Path, required=True, help="the report, Markdown")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        own = tables.read(args.platforms, OWN_STATUSES)
        check_complete(own, args.platforms)
        published = tables.read(args.published, PUBLISHED_STATUSES)
        captions = parse_captions(args.captions, own)
        files.write_text(args.out, render(own, published, captions, args.template, args.notes))
    except (OSError, ValueError) as error:
        sys.exit(f"render_report.py: {error}")
    except jinja2.TemplateError as error:
        line = f":{error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        sys.exit(f"render_report.py: {args.template}{line}: {error}; correct the template")


def check_complete(own: list[tables.Row], paths: list[Path]) -> None:
    """This run's CSVs must have every column. Raises ValueError naming the files and the columns."""
    absent = sorted({name for row in own for name in NAMES if name not in row})
    if absent or not own:
        lack = f"no column(s) {', '.join(absent)}" if absent else "no rows"
        raise ValueError(f"{', '.join(map(str, paths))}: {lack}; collect this run's platforms again")


def parse_captions(text: str, own: list[tables.Row]) -> dict[str, dict[str, Any]]:
    """The captions by model. Raises ValueError if they are no JSON object or lack a model of this run."""
    try:
        captions = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"--captions: not JSON ({error}); expected {{model: {{title, …}}}}") from error
    for model in dict.fromkeys(row["model"] for row in own):
        if not isinstance(captions, dict) or not isinstance(captions.get(model), dict):
            raise ValueError(f"--captions: no object for model {model!r}; expected title, url, caveats")
    return captions


def render(
    own: list[tables.Row],
    published: list[tables.Row],
    captions: dict[str, dict[str, Any]],
    template: Path,
    notes: Sequence[str] = (),
) -> str:
    """The report's text. Whatever the template prints is escaped unless it is ``markdown.Markdown``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        finalize=md.escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = list(dict.fromkeys(row["model"] for row in own if not scale_axis.is_variant(row)))
    models = [model_view(name, own, published, captions[name]) for name in names]
    view = {
        "models": models,
        "tally": details.tally(own),
        "lanes": len(comparison.lanes(own)) > 1,
        "rounds": sorted({int(row["rounds"]) for row in own}),
        "upkeep": serving.upkeep(own),
        "scale": scale_axis.table(own, published),
        "notes": [md.Markdown(" ".join(text.split())) for text in notes],
        "failures": details.failures(own),
        "unsupported": details.unsupported(own),
        "machines": details.machines(own),
        "sources": list(comparison.sources(published).values()),
        "left_out": sorted(
            {row["model"] for row in published if not scale_axis.is_variant(row)} - set(names)
        ),
    }
    return environment.get_template(template.name).render(view)


def model_view(
    name: str, own: list[tables.Row], published: list[tables.Row], caption: dict[str, Any]
) -> dict[str, Any]:
    """What the template prints of one model."""
    mine = [row for row in own if row["model"] == name]
    theirs = [row for row in published if row["model"] == name]
    others = origins.mark(mine + theirs)
    sections = []
    for (_, platform), rows in comparison.platforms(mine).items():
        floors = [row["noise_relative_l2"] for row in rows if row["noise_relative_l2"] is not None]
        sections.append(
            {
                "platform": platform,
                "baseline": rows[0]["baseline"],
                "tasks": {task: details.timings(rows, task) for task in TASKS},
                "costs": details.costs(rows),
                "verdicts": details.verdicts(rows),
                "objections": details.objections(rows),
                "noise": md.tiny(floors[0] if floors else None),
                "caveats": details.caveats(rows),
            }
        )
    caveats = [md.Markdown(" ".join(text.split())) for text in caption.get("caveats") or []]
    caveats += filter(None, [origins.loss_check(mine, caption.get("expected_loss"))])
    caveats += others
    return {
        "name": name,
        "title": md.link(caption.get("title") or name, caption.get("url")),
        "weights": ", ".join(dict.fromkeys(row["weights"] for row in mine if row["weights"])),
        "results": comparison.table(precision.strict(mine), precision.strict(theirs), published),
        "reduced": comparison.table(precision.reduced(mine), precision.reduced(theirs), published),
        "accuracy": precision.table(mine),
        "generation": serving.generation(mine),
        "winners": comparison.winners(mine),
        "caveats": caveats,
        "sections": sections,
    }


if __name__ == "__main__":
    main()
