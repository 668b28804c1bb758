"""The version, its date and the licence are said in several files, and the same in all."""

import re
import tomllib

import yaml

from runner import REPOSITORY

CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
CARGO = tomllib.loads((REPOSITORY / "workflow/engines/Cargo.toml").read_text(encoding="utf-8"))


def test_the_citation_and_the_engines_have_the_changelog_s_latest_version():
    unreleased, *released = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", CHANGELOG, flags=re.MULTILINE)
    assert unreleased == ("Unreleased", "")
    assert (CITATION["version"], str(CITATION["date-released"])) == released[0]
    assert CARGO["workspace"]["package"]["version"] == CITATION["version"]


def test_the_licence_is_one():
    title, _, rights = (REPOSITORY / "LICENSE").read_text(encoding="utf-8").partition("\n")
    assert title == f"{CITATION['license']} License"
    assert CARGO["workspace"]["package"]["license"] == CITATION["license"]
    assert f"(c) {CITATION['date-released'].year} {CITATION['authors'][0]['name']}\n" in rights
