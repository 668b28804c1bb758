"""A cluster's node: one measurement at a time, what Slurm gave, and the rules for a disturbed cell."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

import records
from arena.contract import codec
from arena.contract.round import Allocation, During, Gpu, GpuWatch, Node, OtherJobs
from arena.measuring import node
from reporting import nodes
from turns import SPAWN, take_turns

NAME = f"\0arena-test-{time.monotonic_ns()}"


def hold(name, seconds, spans):
    with node.alone(names=[name], interval_s=0.01):
        begin = time.monotonic()
        time.sleep(seconds)
        spans.put((begin, time.monotonic()))


def test_two_processes_are_never_in_it_at_once():
    assert take_turns(hold, NAME, 0.2)


def test_a_process_that_dies_gives_it_back():
    name = NAME + "-dies"
    spans = SPAWN.Queue()  # as long as the process that uses it
    process = SPAWN.Process(target=hold, args=(name, 60, spans))
    process.start()
    with pytest.raises(OSError, match="in use"):
        while True:  # until the other process has it
            with node.socket.socket(node.socket.AF_UNIX, node.socket.SOCK_DGRAM) as probe:
                probe.bind(name)
            time.sleep(0.01)
    process.kill()
    process.join()
    with node.alone(names=[name], interval_s=0.01) as waited:
        assert waited < 30


def test_whoever_does_not_want_it_waits_for_nobody():
    name = NAME + "-nobody"
    with node.alone(names=[name]), node.alone(False, names=[name]) as waited:
        assert waited == 0.0


@pytest.fixture
def own_lock(monkeypatch):
    """Names that no measurement on this machine has, on a machine of four CPUs."""
    monkeypatch.setattr(node, "LOCK", f"{NAME}-{time.monotonic_ns()}")
    monkeypatch.setattr(node, "_configured", lambda: 4)


def waits(held, wanted):
    """Whether a measurement that wants names waits for one that holds others, until that one ends."""
    entered, done = threading.Event(), threading.Event()

    def want():
        with node.alone(names=wanted, interval_s=0.01):
            entered.set()
        done.set()

    with node.alone(names=held):
        thread = threading.Thread(target=want)
        thread.start()
        waited = not entered.wait(0.3)
    assert done.wait(30)
    thread.join()
    return waited


@pytest.mark.linux
def test_two_cards_with_cores_of_their_own_are_measured_at_once(own_lock):
    first, second = node.part("GPU-1", {0, 1}), node.part("GPU-2", {2, 3})
    assert not waits(first, second)
    assert waits(first, first)
    assert waits(first, node.part("GPU-1", {2, 3})), "one card, other cores"
    assert waits(first, node.part("GPU-2", {1, 2})), "another card, a core in common"
    for holder, wanted in ((first, node.whole()), (node.whole(), second), (node.whole(), node.whole())):
        assert waits(holder, wanted)
    for unknown in (node.part(None, {0}), node.part("GPU-1", set()), node.part("GPU-1", {0, 1, 2, 3})):
        assert unknown == node.whole()
    assert node.part("GPU-1", {0}, abstract=False) == node.whole(abstract=False) == [node.LOCK]


@pytest.mark.linux
def test_who_needs_the_whole_machine_gets_it_between_two_that_take_turns(own_lock):
    """It keeps what it has while it waits, so that cells of two cards, which never end together, let it in."""
    entered, stop = threading.Event(), threading.Event()

    def stream(card, cpus):
        while not stop.is_set():
            with node.alone(names=node.part(card, cpus), interval_s=0.001):
                time.sleep(0.02)

    def all_of_it():
        with node.alone(interval_s=0.001):
            entered.set()

    threads = [threading.Thread(target=stream, args=args) for args in (("A", {0, 1}), ("B", {2, 3}))]
    threads.append(threading.Thread(target=all_of_it))
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    got = entered.wait(30)
    stop.set()
    for thread in threads:
        thread.join()
    assert got


@pytest.mark.linux
def test_the_allocation_is_what_slurm_says(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert node.allocation() is None
    given = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n1", "SLURM_JOB_PARTITION": "gpu"}
    for name, value in (given | {"SLURM_STEP_GPUS": "1", "SLURM_CPUS_ON_NODE": "4"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(node.os, "sched_getaffinity", lambda pid: {2, 3})
    expected = {"job": "7", "name": "n1", "partition": "gpu", "cpus": [2, 3], "cpus_given": 4, "gpus": "1"}
    assert node.allocation() == expected | {"pinned": True}
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    assert node.allocation()["pinned"] is False


def test_only_the_jobs_of_a_run_in_that_directory_are_left_over(monkeypatch, tmp_path):
    run = "4ddf391f-6881-4835-9845-14509aea986b"
    lines = [f"1|{run}|{tmp_path}", f"2|{run}|/elsewhere", f"3|bash|{tmp_path}", f"4|mine_{run}|{tmp_path}"]
    tool = tmp_path / "squeue"
    tool.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert node.leftover_jobs(tmp_path) == ["1", "4"]


GIVEN = {"job": "7", "name": "n1", "gpus": "1", "pinned": True, "cpus": [0, 1]}
UNPINNED = GIVEN | {"gpus": None, "pinned": False}


def cell(gpu=None, disturbance=None, watch=None, **changes):
    """A cell of one round on a shared node with nobody else, with these changes."""
    met = {"use": "shared", "other_jobs": {"before": 0, "after": 0}, "allocation": GIVEN} | changes
    met |= {"waited_s": 0.0, "monotonic_s": [0.0, 1.0]}
    allocation, others = (
        codec.build(Allocation, **met.pop("allocation")),
        codec.build(OtherJobs, **met.pop("other_jobs")),
    )
    node = Node(**met, allocation=allocation, other_jobs=others, gpu=gpu)
    record = records.round_of(records.round_record("eager"))
    quiet = replace(record.conditions.disturbance, steal=0.0, throttle_events=0)
    conditions = replace(
        record.conditions,
        disturbance=replace(quiet, **disturbance or {}),
        during=During(gpu=watch and GpuWatch(looks=9, **{"throttle": {}, "others": {}} | watch)),
    )
    return SimpleNamespace(rounds=[replace(record, node=node, conditions=conditions)])


@pytest.mark.parametrize(
    ("changes", "condition", "words"),
    [
        ({}, "clean", None),
        ({"other_jobs": {"before": 0, "after": 2}}, "noisy", "other jobs (2)"),
        ({"other_jobs": {"before": None, "after": None}}, "noisy", "nobody knows"),
        ({"allocation": UNPINNED}, "clean", None),
        ({"allocation": UNPINNED, "other_jobs": {"before": 1, "after": 0}}, "invalid", "confined"),
        ({"allocation": UNPINNED, "use": "exclusive"}, "clean", None),
        ({"disturbance": {"steal": 0.02}}, "noisy", "hypervisor"),
        ({"disturbance": {"throttle_events": 3}}, "noisy", "processor was throttled"),
        ({"watch": {"throttle": {"idle": 9}}}, "clean", None),
        ({"watch": {"throttle": {"thermal, hardware": 1}}}, "noisy", "GPU was"),
        ({"watch": {"others": {"99": 5}}}, "invalid", "another process"),
    ],
)  # fmt: skip
def test_a_cell_is_noisy_or_invalid_by_rule(changes, condition, words):
    row = nodes.figures(cell(**changes))
    assert (row["node"], row["node_shared"]) == ("n1", "use" not in changes)
    assert row["condition"] == condition
    assert row["condition_reasons"] is None if words is None else words in row["condition_reasons"]


def test_a_gpu_is_known_by_its_uuid_where_the_driver_tells():
    assert nodes.figures(cell())["accelerators"] == "1"
    assert nodes.figures(cell(gpu=Gpu(uuid="GPU-8f0a")))["accelerators"] == "GPU-8f0a"


def test_off_a_cluster_nothing_is_said():
    record = records.round_of(records.round_record("eager"))
    assert nodes.figures(SimpleNamespace(rounds=[record])) == {}
