"""What only presents is no part of what is compared: another wording measures nothing again."""

import re
import subprocess

import pytest
import yaml

from arena.configuration import loader
from checkout import Checkout, copy
from runner import REPOSITORY, environ

CATALOGUES = loader.catalogues(REPOSITORY)
#: The programs that show results.
SHOWING = {"collect_platform", "render_report", "render_html", "take_submission"}
WORDS = {
    "frameworks": {
        name: {
            "name": "Another name",
            "url": "https://example.org",
            "license": "ISC",
            "caveats": ["Another caveat."],
            "rows": {row: {"label": f"Another label {row}"} for row in entry["rows"]},
        }
        | ({"unsupported_tasks": dict.fromkeys(tasks, "Another sentence.")} if tasks else {})
        for name, entry in CATALOGUES["frameworks"].items()
        for tasks in [entry.get("unsupported_tasks", {})]
    },
    "models": {
        name: {"title": "Another title", "url": "https://example.org", "caveats": ["Another caveat."]}
        for name in CATALOGUES["models"]
    },
    "platforms": [{"name": "local", "label": "Another machine"}],
    "report": {"least_difference": 0.03},
}


def commands(checkout):
    """(command, program) of every step in a dry run: they hold all of the configuration that Snakemake compares."""
    done = subprocess.run(
        checkout.command("--dry-run", "--printshellcmds"),
        cwd=checkout.root,
        env=environ(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(
        re.findall(r"^Shell command: (python \S*/(\w+)\.py .*)$", done.stdout + done.stderr, re.MULTILINE)
    )


@pytest.mark.slow
def test_another_wording_changes_no_step_but_those_that_show(tmp_path):
    (tmp_path / "root").mkdir()
    root = copy(tmp_path / "root")
    words = tmp_path / "words.yaml"
    words.write_text(yaml.safe_dump(WORDS))
    test = root / "config/test.yaml"
    plain, worded = (
        commands(Checkout(root, tmp_path / "directory", configs)) for configs in ((test,), (test, words))
    )
    programs = {program for _, program in plain}
    assert programs >= {"benchmark", "validate", "compute_reference", "seed_weights", "export", *SHOWING}
    assert {program for _, program in plain ^ worded} == SHOWING
