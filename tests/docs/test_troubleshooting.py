"""docs/troubleshooting.md: each message that it quotes is one that the code prints."""

import re
import subprocess
from pathlib import Path

import pytest

from runner import REPOSITORY, RUNNER

PAGE = (REPOSITORY / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = [
    line for block in re.findall(r"(?s)^```\n(.*?)^```$", PAGE, re.MULTILINE) for line in block.splitlines()
]
LEAST = 10  # letters of a message that are its own
SUFFIXES = {".py", ".smk", ".sh", ".rs"}


def joined(text):
    """Source as it prints: literals that follow each other as one, what is filled in as `…`."""
    text = re.sub(r'"\s*\n?\s*f?r?"', "", text)
    text = re.sub(r"\{[^{}]*\}", "…", text)
    return text.replace("''", "…").replace('\\"', '"')


def sources(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file())
    return [joined(path.read_text(encoding="utf-8")) for path in files]


@pytest.fixture(scope="module")
def ours():
    return [*sources(REPOSITORY / "workflow"), joined((REPOSITORY / "Makefile").read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def snakemakes():
    ask = "import snakemake, pathlib; print(pathlib.Path(snakemake.__file__).parent)"
    done = subprocess.run([RUNNER / "python", "-c", ask], capture_output=True, text=True, check=True)
    return sources(Path(done.stdout.strip()))


def printed(message, texts):
    """Whether one text has every part of the message that is long enough to be told from other text."""
    parts = [part.strip(" :;.,") for part in message.removeprefix("snakemake: ").split("…")]
    telling = [part for part in parts if letters(part) >= 8] or [max(parts, key=len)]
    return any(all(part in text for part in telling) for text in texts)


def letters(text):
    return sum(map(str.isalpha, text))


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_printed_by_the_code(message, ours, snakemakes):
    assert letters(message) >= LEAST, "too short to be told from other text"
    assert printed(message, ours) or printed(message, snakemakes)


def test_what_no_code_prints_is_found_out(ours):
    assert not printed("results/report.md says why and how to try it again", ours)
    assert not printed("no beginning after … s", ours)


def test_the_page_is_found_and_covers_what_strangers_met():
    assert "(docs/troubleshooting.md)" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for word in (
        "lock",
        "moved",
        "proxy",
        "certificate",
        "No network",
        "disk",
        "locale",
        "user id",
        "GPU",
        "cell",
    ):
        assert word in PAGE, word
    assert len(MESSAGES) >= 20
