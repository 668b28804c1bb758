"""Which cells get more rounds than were planned: by their own spread, once, and for good."""

from dataclasses import replace

import pytest

import records
from arena.contract.measured import Task
from reporting import adaptive

ROWS = [f"row{number}" for number in range(8)]
TASK = Task(status="ok", compile_s=1.0, warmup_ns=[1], steady=True, samples_ns=[1])


def process(row, number, ms, began=10, **changes):
    """A round in which every task took ``ms``."""
    record = records.round_of(records.round_record(row, number))
    tasks = {task: replace(TASK, samples_ns=[round(ms * 1e6)] * 3) for task in record.tasks}
    started = f"2026-11-28T{began}:0{number}:00+00:00"
    return replace(record, tasks=tasks, started=started, **changes)


def planned(times, began=None):
    """Cells of one model, by row the times of their processes; ``began``: the hour, where it is not ten."""
    return {
        f"Tiny/{row}": [process(row, n, ms, (began or {}).get(row, 10)) for n, ms in enumerate(values, 1)]
        for row, values in times.items()
    }


CALM = {row: (40.0, 40.0 + 0.03 * (place - 3.2)) for place, row in enumerate(ROWS)}


def decide(cells, earlier=None, max_rounds=4, target=0.02, count=2, max_seconds=None, **verdicts):
    judged = dict.fromkeys(cells, "pass") | {f"Tiny/{row}": verdict for row, verdict in verdicts.items()}
    return adaptive.decide(cells, judged, "local", count, max_rounds, target, earlier, max_seconds)


def rounds(decision):
    return {name.removeprefix("Tiny/"): decided.rounds for name, decided in decision.cells.items()}


def test_only_the_cell_that_varies_gets_more_and_it_says_why():
    found = decide(planned(CALM | {"row3": (40.0, 46.0)}))
    assert rounds(found) == dict.fromkeys(ROWS, 2) | {"row3": 4}
    told = found.cells["Tiny/row3"]
    assert told.why.startswith("inference ± ") and "after 2 rounds, over ± 2.0 %" in told.why
    assert told.why.endswith("rounds would do, 4 are allowed")
    assert min(told.half_widths.values()) > 0.02 and set(told.half_widths) == set(records.TASKS)
    assert found.cells["Tiny/row0"].why == "no task is over ± 2.0 %"
    assert max(found.cells["Tiny/row0"].half_widths.values()) < 0.02


def test_it_gets_as_many_as_its_spread_asks_for():
    found = decide(planned(CALM | {"row3": (40.0, 41.5)}), max_rounds=50)
    assert 2 < rounds(found)["row3"] < 50
    assert f": {rounds(found)['row3']} rounds would do" in found.cells["Tiny/row3"].why


def test_a_difference_between_cells_decides_nothing():
    found = decide(planned(CALM | {"row3": (400.0, 401.0)}))
    assert rounds(found) == dict.fromkeys(ROWS, 2)


@pytest.mark.parametrize("status", ["failed", "unsupported"])
def test_a_cell_that_did_not_end_well_gets_none(status):
    cells = planned(CALM | {"row3": (40.0, 46.0)})
    cells["Tiny/row3"][1] = replace(cells["Tiny/row3"][1], status=status)
    found = decide(cells)
    assert rounds(found)["row3"] == 2
    assert found.cells["Tiny/row3"].why == f"{status}: no further rounds"
    assert found.cells["Tiny/row3"].half_widths == {}


@pytest.mark.parametrize(
    ("verdict", "count", "why"),
    [("close", 4, "inference ± "), ("different", 2, "its outputs are different: no further rounds")],
)
def test_a_cell_whose_times_mean_nothing_gets_none(verdict, count, why):
    cells = planned(CALM | {"row3": (40.0, 46.0)})
    found = decide(cells, row3=verdict)
    assert rounds(found)["row3"] == count
    assert found.cells["Tiny/row3"].why.startswith(why)
    # With another tolerance it may be right, or wrong, after all.
    assert rounds(decide(cells, found, row3="pass"))["row3"] == 4
    assert rounds(decide(cells, decide(cells), row3=verdict))["row3"] == count


def test_a_cell_without_verdict_is_refused():
    with pytest.raises(ValueError, match="Tiny/row0: no verdict on its rounds; give one"):
        adaptive.decide(planned(CALM), {}, "local", 2, 4, 0.02)


def test_a_task_that_failed_does_not_decide():
    cells = planned(CALM)
    first, second = cells["Tiny/row3"]
    wild = replace(TASK, samples_ns=[90_000_000] * 3)
    second = replace(second, tasks=second.tasks | {"training": replace(wild, status="failed")})
    cells["Tiny/row3"] = [first, second]
    assert rounds(decide(cells))["row3"] == 2


def test_what_was_decided_stands_for_cells_that_were_not_measured_again():
    """Row 5 is measured again and now jumps, which makes the others' intervals wider: they keep what they had."""
    before = decide(planned(CALM | {"row3": (40.0, 46.0)}))
    again = CALM | {"row3": (40.0, 46.0), "row5": (40.0, 48.0)}
    after = decide(planned(again, began={"row5": 11}), before)
    assert rounds(after) == dict.fromkeys(ROWS, 2) | {"row3": 4, "row5": 4}
    assert {name: each for name, each in after.cells.items() if name != "Tiny/row5"} == {
        name: each for name, each in before.cells.items() if name != "Tiny/row5"
    }
    calm = decide(planned(CALM | {"row5": (40.0, 48.0)}, began={"row3": 12, "row5": 11}), after)
    assert rounds(calm) == dict.fromkeys(ROWS, 2) | {"row5": 4}  # row 3 no longer varies


def test_rows_that_a_run_leaves_out_keep_what_was_decided():
    whole = planned(CALM | {"row3": (40.0, 46.0)})
    before = decide(whole)
    some = {name: cell for name, cell in whole.items() if name != "Tiny/row3"}
    assert decide(some, before).cells["Tiny/row3"] == before.cells["Tiny/row3"]


def lasting(cells, seconds):
    """The same cells; a process of each row took so many seconds."""
    return {
        name: [replace(record, duration_s=seconds) for record in records_] for name, records_ in cells.items()
    }


def test_the_widest_cells_get_the_seconds_that_there_are():
    cells = lasting(planned(CALM | {"row2": (40.0, 44.0), "row3": (40.0, 46.0)}), 10.0)

    def given(seconds):
        return decide(cells, target=0.03, max_seconds=seconds)

    assert rounds(given(40)) == dict.fromkeys(ROWS, 2) | {"row2": 4, "row3": 4}
    told = given(20)
    assert rounds(told) == dict.fromkeys(ROWS, 2) | {"row3": 4}
    assert told.cells["Tiny/row2"].why.endswith("; the 20 s of all further rounds do not reach it")
    assert told.cells["Tiny/row2"].half_widths == given(None).cells["Tiny/row2"].half_widths
    assert rounds(given(19.9)) == dict.fromkeys(ROWS, 2)
    assert rounds(given(None)) == dict.fromkeys(ROWS, 2) | {"row2": 4, "row3": 4}


def test_seconds_that_were_given_before_are_spent():
    cells = lasting(planned(CALM | {"row3": (40.0, 46.0)}), 10.0)
    before = decide(cells, max_seconds=30)
    again = lasting(planned(CALM | {"row3": (40.0, 46.0), "row5": (40.0, 48.0)}, began={"row5": 11}), 10.0)
    assert rounds(decide(again, before, max_seconds=30)) == dict.fromkeys(ROWS, 2) | {"row3": 4}
    assert rounds(decide(again, max_seconds=30)) == dict.fromkeys(ROWS, 2) | {"row5": 4}


@pytest.mark.parametrize("settings", [{"target": 0.5}, {"max_rounds": 3}])
def test_other_settings_decide_anew(settings):
    cells = planned(CALM | {"row3": (40.0, 46.0)})
    before = decide(cells)
    assert decide(cells, before, **settings) == decide(cells, **settings)
    assert rounds(decide(cells, before, **settings))["row3"] == (2 if "target" in settings else 3)


def test_a_cell_without_its_planned_rounds_is_refused():
    cells = planned(CALM)
    cells["Tiny/row1"] = cells["Tiny/row1"][:1]
    with pytest.raises(ValueError, match=r"Tiny/row1: rounds \[1\]; expected 1 to 2, each once"):
        decide(cells)
