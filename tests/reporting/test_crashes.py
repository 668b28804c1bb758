"""A crash that its framework's file knows is told with what avoids it: in the table, and in the list of failures."""

import json

import pytest

import records
from arena.configuration import loader
from arena.contract import failures
from platform_csv import collected, good
from runner import REPOSITORY

KNOWN = {
    "signal": "SIGILL",
    "lanes": ["float32"],
    "accelerators": ["cpu"],
    "said": "tileloadd",
    "what": "It is in libkernel.so.",
    "avoid": "The switch.",
    "see": "docs/upstream.md",
}
TOLD = ". Known: It is in libkernel.so. What avoids it: The switch. (docs/upstream.md)"
DIED = "killed by SIGILL during inference, in run of adapter.py"


def told(tmp_path, detail=DIED, code="crashed", framework="pytorch", **changes):
    """The reason in the table and that in the failures, of a cell that ended with a reason."""
    ended = [records.failed("compiled", n, code, detail) | {"log_tail": "at tileloadd"} for n in (1, 2, 3)]
    verdicts = [records.verdict_record("eager"), records.verdict_record("compiled", None)]
    crashes = json.dumps({framework: [KNOWN | changes]})
    rows = collected(tmp_path, good("eager") + ended, verdicts, crashes=crashes)
    (failure,) = failures.read(tmp_path / "failures.json").failures
    assert rows["compiled"]["reason_code"] == failure.code == code
    assert rows["compiled"]["reason_detail"] == failure.detail
    return failure.detail


def test_a_known_crash_is_told_with_what_avoids_it(tmp_path):
    assert told(tmp_path) == DIED + TOLD


@pytest.mark.parametrize(
    "other",
    [
        {"signal": "SIGSEGV"},
        {"lanes": ["int8"]},
        {"accelerators": ["cuda"]},
        {"said": "another word"},
        {"framework": "jax"},
    ],
)
def test_another_crash_is_not(tmp_path, other):
    assert told(tmp_path, **other) == DIED


def test_nor_what_is_no_crash(tmp_path):
    assert (
        told(tmp_path, code="error", detail="RuntimeError: killed by SIGILL ")
        == "RuntimeError: killed by SIGILL "
    )


def test_what_is_left_open_fits_all(tmp_path):
    assert told(tmp_path, lanes=[], accelerators=[], said=None) == DIED + TOLD


def test_a_task_that_crashed_is_told_too(tmp_path):
    rounds = good("eager") + good("compiled")
    detail = "killed by SIGILL during training"
    rounds[5]["tasks"]["training"] = records.ended_task("failed", "crashed", detail)
    verdicts = [records.verdict_record("eager"), records.verdict_record("compiled")]
    crashes = json.dumps({"pytorch": [KNOWN | {"said": "during training"}]})
    rows = collected(tmp_path, rounds, verdicts, crashes=crashes)
    (failure,) = failures.read(tmp_path / "failures.json").failures
    assert failure.detail == detail + TOLD
    assert rows["compiled"]["training_reason"] == f"crashed: {detail}{TOLD}"
    assert rows["eager"]["training_reason"] == ""


def test_the_catalogue_s_entries_lead_to_the_fault():
    """Each names a heading of the page on faults of others, and says more than the signal."""
    entries = loader.resolve({"run": {"rows": "all"}}, REPOSITORY)["frameworks"]
    listed = [crash for entry in entries.values() for crash in entry["crashes"]]
    assert {"SIGILL", "SIGSEGV"} <= {crash["signal"] for crash in listed}
    for crash in listed:
        page, _, anchor = crash["see"].partition("#")
        headings = [
            line[3:] for line in (REPOSITORY / page).read_text().splitlines() if line.startswith("## ")
        ]
        plain = [
            "".join(c for c in h.lower() if c.isalnum() or c in " -_").replace(" ", "-") for h in headings
        ]
        assert anchor in plain
        assert crash["what"].endswith(".") and crash["avoid"].endswith(".")
