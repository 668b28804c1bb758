"""Links between the project's pages lead to a file that is there, and to a heading that it has."""

import re
import subprocess
from functools import cache

import pytest

from runner import REPOSITORY

LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def pages():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (REPOSITORY / name).exists()]


@cache
def anchors(page):
    """Anchors of a page's headings as GitHub makes them: lower case, no punctuation, hyphens for spaces."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page):
    """The links of ``page`` that lead nowhere."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("name", pages())
def test_links_lead_somewhere(name):
    assert list(broken(REPOSITORY / name)) == []


def test_links_that_lead_nowhere_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `heading`, here\n"
        "[a](page.md#a-heading-here) [b](#a-heading-here) [c](none.md) [d](page.md#none)\n"
        "`[e](none)` [f](https://example.org/none)\n```\n[g](none)\n# none\n```\n",
        encoding="utf-8",
    )
    assert list(broken(page)) == ["none.md", "page.md#none"]
