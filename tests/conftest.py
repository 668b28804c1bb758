"""Fixtures that several test files share."""

import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from browser import chromium  # noqa: F401 (a fixture of every test that names it)
from checkout import BUILDERS, CONDA_PREFIX, END_TO_END, Checkout, beside, building, copy, snapshot

DURATIONS: list[str] = []
MADE_ONCE = ("miniature", "trained_checkpoint")  # fixtures of the whole session that take minutes


@pytest.hookimpl(tryfirst=True)  # before the choice by -m, which goes by the marks
def pytest_collection_modifyitems(config, items):
    for item in items:
        if made_once(item):
            for mark in END_TO_END:
                item.add_marker(mark)
        if sys.platform != "linux" and (item.get_closest_marker("linux")):
            item.add_marker(pytest.mark.skip(reason="asks for affinity or /proc, which only Linux has"))
        item.add_marker(pytest.mark.xdist_group(group(item)))
    # Fast tests first; where several processes share the tests, one of them has the longest group meanwhile, and
    # the small groups come last, so that all end at about the same time.
    turns = [None, "slow", "network", "exclusive", *MADE_ONCE]
    if hasattr(config, "workerinput"):
        turns = ["miniature", "slow", "exclusive", "trained_checkpoint", "network", None]
    items.sort(key=lambda item: turns.index(kind(item)))


def made_once(item):
    """The fixture among ``MADE_ONCE`` that the test asks for, or None."""
    return next((name for name in MADE_ONCE if name in getattr(item, "fixturenames", ())), None)


def kind(item):
    """What says most of where and when a test runs: its fixture, or a mark."""
    marks = (mark for mark in ("exclusive", "network", "slow") if item.get_closest_marker(mark))
    return made_once(item) or next(marks, None)


def group(item):
    """What one process runs: all that asks for what takes minutes to make, all that measures with the whole machine,
    of which one would wait for the other; else the tests of one kind of a file.
    """
    found = kind(item)
    if found in (*MADE_ONCE, "exclusive"):
        return found
    return f"{item.location[0]}, {found}" if found else item.location[0]


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # a process of pytest-xdist, whose summary nobody sees
        session.config.workeroutput["durations"] = DURATIONS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    DURATIONS.extend(getattr(node, "workeroutput", {}).get("durations", []))


def pytest_terminal_summary(terminalreporter):
    for line in DURATIONS:
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def miniature(tmp_path_factory):
    """The whole miniature, run once: ``checkout``, ``run`` and what lay where ``before`` and ``after``.

    HOME and TMPDIR are folders of the run's own, so that whatever a framework leaves there is seen.
    """
    folder = tmp_path_factory.mktemp("miniature")
    places = {name: folder / name for name in ("root", "home", "tmp", "directory")}
    for place in places.values():
        place.mkdir()
    copy(places["root"])
    private = {"HOME": str(places["home"]), "TMPDIR": str(places["tmp"])}
    private |= {"XDG_CACHE_HOME": str(places["home"] / ".cache")} | BUILDERS
    config = places["root"] / "config/test.yaml"
    Checkout(places["root"], places["directory"], (config,)).build_environments()
    checkout = Checkout(places["root"], places["directory"], (config,), environment=private)

    watched = {"root": places["root"], "home": places["home"], "tmp": places["tmp"], "envs": CONDA_PREFIX}
    with building():  # so that no other test's environment is half built
        before = {name: snapshot(place) for name, place in watched.items()}
    begin = time.monotonic()
    done = checkout.run()
    seconds = time.monotonic() - begin
    DURATIONS.append(f"the miniature took {seconds:.0f} s on {checkout.cores} cores")
    with building():
        after = {name: snapshot(place) for name, place in watched.items()}
    new = beside(before["envs"], after["envs"])
    after["envs"] = {path: status for path, status in after["envs"].items() if path not in new}
    return SimpleNamespace(checkout=checkout, run=done, before=before, after=after)


@pytest.fixture(scope="session")
def trained_checkpoint():
    """The directory of the trained checkpoint, of 540 MB; it is gone when the tests are done."""
    from trained import gguf_file, write_checkpoint  # what it imports, not every test needs

    with tempfile.TemporaryDirectory(prefix="trained-") as folder:
        yield write_checkpoint(gguf_file(), Path(folder, "SmolLM2-135M-Instruct"))
