"""Fixtures that several test files share."""

import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from browser import chromium  # noqa: F401 (a fixture of every test that names it)
from checkout import BUILDERS, CONDA_PREFIX, END_TO_END, Checkout, copy, snapshot

DURATIONS: list[str] = []


@pytest.hookimpl(tryfirst=True)  # before the choice by -m, which goes by the marks
def pytest_collection_modifyitems(config, items):
    for item in items:
        if {"miniature", "trained_checkpoint"} & set(getattr(item, "fixturenames", ())):
            for mark in END_TO_END:
                item.add_marker(mark)
        if sys.platform != "linux" and (item.get_closest_marker("linux")):
            item.add_marker(pytest.mark.skip(reason="asks for affinity or /proc, which only Linux has"))
        item.add_marker(pytest.mark.xdist_group(group(item)))
    # Fast tests first; where several processes share the tests, one of them has the longest group meanwhile.
    turns = [None, "slow", "network"] if not hasattr(config, "workerinput") else ["network", None, "slow"]
    items.sort(key=lambda item: turns.index(cost(item)))


def cost(item):
    """The mark that says most of what a test takes."""
    return next((mark for mark in ("network", "slow") if item.get_closest_marker(mark)), None)


def group(item):
    """What one process runs: the fast or the slow tests of a file; all that build environments, which they share."""
    return {"network": "environments", "slow": f"{item.location[0]}, slow"}.get(cost(item), item.location[0])


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
    before = {name: snapshot(place) for name, place in watched.items()}
    begin = time.monotonic()
    done = checkout.run()
    seconds = time.monotonic() - begin
    DURATIONS.append(f"the miniature took {seconds:.0f} s on {checkout.cores} cores")
    after = {name: snapshot(place) for name, place in watched.items()}
    return SimpleNamespace(checkout=checkout, run=done, before=before, after=after)


@pytest.fixture(scope="session")
def trained_checkpoint():
    """The directory of the trained checkpoint, of 540 MB; it is gone when the tests are done."""
    from trained import gguf_file, write_checkpoint  # what it imports, not every test needs

    with tempfile.TemporaryDirectory(prefix="trained-") as folder:
        yield write_checkpoint(gguf_file(), Path(folder, "SmolLM2-135M-Instruct"))
