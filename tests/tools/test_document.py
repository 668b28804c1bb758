"""What `make docs` writes is in the pages, and says what the catalogue says."""

import subprocess
import sys

import pytest

import document
import document_frameworks
from arena.configuration import frameworks
from runner import REPOSITORY, environ

CONFIG = document.catalogue(REPOSITORY)
ENTRIES = CONFIG["frameworks"].values()


def cells(text, first):
    """The cells of the table's line that begins so; there is exactly one."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_pages_are_up_to_date():
    assert document.outdated(REPOSITORY) == {}, "run make docs"


def test_the_matrix_knows_what_a_framework_cannot():
    matrix = document_frameworks.matrix(CONFIG, REPOSITORY)
    head = cells(matrix, "framework")
    line = dict(zip(head, cells(matrix, "llama.cpp"), strict=True))
    assert [line[name] for name in ("SmolLM2-135M", "ResNet-50", "training", "generation")] == [
        "✓",
        "—",
        "—",
        "✓",
    ]
    assert line["reduced precision"] == "tf32 (cuda), float16, int8"
    assert set(cells(matrix, "Inferi (Rust)")[1:8]) == {"—"}
    assert "tf32 (cuda)" in cells(matrix, "JAX")[8]


def test_every_reason_of_the_catalogue_has_its_line():
    page = document_frameworks.reasons(CONFIG, REPOSITORY)
    lines = {
        tuple(cell.strip().strip("`") for cell in line.strip("|").split(" | ")) for line in page.splitlines()
    }
    reasons = 0
    for entry in ENTRIES:
        for name, model in document_frameworks.whole_models(CONFIG).items():
            if reason := frameworks.model_reason(entry, name, model["definition"]):
                assert (entry["name"], name, reason["code"], reason["why"]) in lines
                reasons += 1
        for task, why in entry["unsupported_tasks"].items():
            assert (entry["name"], task, frameworks.TASK_CODES[task], why) in lines
            reasons += 1
    assert reasons > 10


def test_text_between_markers_is_replaced():
    page = "a\n<!-- x: written by make docs -->\n\nold\n\n<!-- end of x -->\nb\n"
    assert document.documented(page, "x", "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match=r"<!-- y: written by make docs -->.*put them back"):
        document.documented(page, "y", "new")


def test_a_page_that_has_drifted_is_told(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("<!-- x: written by make docs -->\n\nold\n\n<!-- end of x -->\n")
    monkeypatch.setattr(document, "PARTS", [("page.md", "x", lambda basedir: "new")])
    monkeypatch.setattr(document, "WHOLE", {"whole.json": "{}\n", "same.json": "1\n"})
    (tmp_path / "same.json").write_text("1\n")
    assert list(document.outdated(tmp_path)) == [page, tmp_path / "whole.json"]
    assert "new" in document.outdated(tmp_path)[page]


def test_the_program_says_that_all_is_well():
    tool = REPOSITORY / "workflow/tools/document.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, env=environ())
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
