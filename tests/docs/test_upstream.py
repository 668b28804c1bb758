"""Each fault on the page for others says what happens, in which version, how to see it, and what the arena does."""

import ast
import re

import pytest

from runner import REPOSITORY

PAGE = REPOSITORY / "docs/upstream.md"
PARTS = ["What happens.", "Where.", "How to see it.", "What the arena does."]
LANGUAGES = {"python", "cpp", "rust", "mlir"}
LONGEST = 45  # lines of a reproducer
DAY = re.compile(r"\b\d{1,2} [A-Z][a-z]+ 20\d\d\b")
VERSION = re.compile(r"\b\d+\.\d+(\.\d+)?\b")


def entries(text):
    """Each entry's heading and text."""
    return [part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]]


def faults(text):
    """What an entry lacks."""
    parts = dict(re.findall(r"^\*\*([^*]+)\*\*(.*?)(?=^\*\*|\Z)", text, flags=re.MULTILINE | re.DOTALL))
    yield from (f"no part **{name}**" for name in PARTS if not parts.get(name, "").strip())
    if [name for name in parts if name in PARTS] != PARTS:
        yield f"its parts are not {PARTS} in this order"
    if not VERSION.search(parts.get("Where.", "")):
        yield "no version in **Where.**"
    seen = parts.get("How to see it.", "")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", seen, flags=re.MULTILINE | re.DOTALL)
    if not blocks and not re.search(r"^    \S", seen, flags=re.MULTILINE):  # a command will do
        yield "no reproducer"
    for language, code in blocks:
        if language not in LANGUAGES or len(code.splitlines()) > LONGEST:
            yield f"a reproducer in {language} of {len(code.splitlines())} lines"
        if language == "python":
            ast.parse(code)
    if not DAY.search(seen) and "not run" not in seen:
        yield "neither when the reproducer was run nor that it was not run"


@pytest.mark.parametrize(("heading", "text"), entries(PAGE.read_text(encoding="utf-8")))
def test_an_entry_has_all_that_a_report_needs(heading, text):
    assert list(faults(text)) == []


def test_an_entry_that_lacks_something_is_found():
    text = "**What happens.** It fails.\n\n**Where.** Everywhere.\n\n**How to see it.** Look.\n"
    assert list(faults(text)) == [
        "no part **What the arena does.**",
        f"its parts are not {PARTS} in this order",
        "no version in **Where.**",
        "no reproducer",
        "neither when the reproducer was run nor that it was not run",
    ]


def test_the_faults_that_the_arena_works_around_are_there():
    headings = " ".join(heading for heading, _ in entries(PAGE.read_text(encoding="utf-8")))
    for name in (
        "ggml",
        "nested_compile_region",
        "TF32",
        "libstdc++",
        "CTranslate2",
        "Inductor",
        "Candle",
        "MAX",
    ):
        assert name in headings, name
