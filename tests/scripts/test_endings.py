"""A measuring process and the others: it ends with those that started it, and waits for those of other runs."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from arena.contract import round as rounds
from arena.measuring import leftovers, node
from runner import REPOSITORY
from supervised import command, heed_signals, prepared, wait_for

SCRIPTS = REPOSITORY / "workflow" / "scripts"


@pytest.fixture
def model(tmp_path):
    return prepared(tmp_path / "model")


def family(where):
    """The measuring process and the one that it has started."""
    found = [psutil.Process(int(word)) for word in wait_for(where / "cache/family").split()]
    assert all(process.is_running() for process in found)
    return found


def ended(processes):
    _, alive = psutil.wait_procs(processes, timeout=10)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGINT]
)
def test_a_measuring_process_and_its_children_die_with_their_supervisor(model, number):
    words, where = command(model, {"fault": "family"})
    supervisor = subprocess.Popen(words, stderr=subprocess.DEVNULL, preexec_fn=heed_signals)
    processes = family(where)
    supervisor.send_signal(number)
    assert supervisor.wait(20) != 0
    assert ended(processes)
    assert not (where / "result.json").exists()


@pytest.mark.slow
def test_what_nohup_lets_live_goes_on(model):
    words, where = command(model, {"fault": "family"}, timeout=5)
    supervisor = subprocess.Popen(["nohup", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    processes = family(where)
    supervisor.send_signal(signal.SIGHUP)
    assert supervisor.wait(30) == 0
    assert ended(processes)
    assert rounds.read(where / "result.json").reason.code == "timeout"


@pytest.mark.parametrize("shell", [True, False])
def test_a_supervisor_ends_with_the_snakemake_that_started_it(model, tmp_path, shell):
    """Killed outright it can tell nobody, and the shell between the two does not notice."""
    words, where = command(model, {"fault": "family"})
    runner = tmp_path / "snakemake"
    start = ["bash", "-c", f"set -e; {shlex.join(words)}; true"] if shell else words
    runner.write_text(f"import subprocess\nsubprocess.run({start!r})\n")
    snakemake = subprocess.Popen([sys.executable, runner], stderr=subprocess.DEVNULL)
    processes = family(where)
    started = psutil.Process(snakemake.pid).children(recursive=True)
    supervisors = [each for each in started if "benchmark.py" in " ".join(each.cmdline())]
    assert supervisors
    snakemake.kill()
    snakemake.wait()
    assert ended(processes) and ended(supervisors)
    assert not (where / "result.json").exists()


def test_a_run_ends_what_an_earlier_one_has_left_in_its_directory_alone(tmp_path):
    runs = {}
    for name in ("here", "elsewhere"):
        model = prepared(tmp_path / name / "model")
        words, where = command(
            model, {"fault": "family"}, tmp_path / name / "results/benchmarks/local/Tiny/faulty"
        )
        supervisor = subprocess.Popen(words, cwd=tmp_path / name, stderr=subprocess.DEVNULL)
        runs[name] = psutil.Process(supervisor.pid), family(where), supervisor
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(3600)", "--job",
         "results/benchmarks/local/Tiny/faulty/.measuring-x/job.json"],
        cwd=tmp_path / "here", start_new_session=True,
    )  # fmt: skip
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(3600)"], cwd=tmp_path / "here"
    )
    try:
        supervisor, processes, _ = runs["here"]
        said = leftovers.end(tmp_path / "here")
        assert sorted(said) == sorted([
            f"benchmark.py of local/Tiny/faulty (process {supervisor.pid})",
            f"a measurement of local/Tiny/faulty (process {processes[0].pid})",
            f"a measurement of local/Tiny/faulty (process {orphan.pid})",
        ])  # fmt: skip
        assert orphan.poll() is not None and ended([supervisor, *processes])
        assert list((tmp_path / "here").rglob("result.json")) == []
        assert all(process.is_running() for process in (runs["elsewhere"][0], *runs["elsewhere"][1]))
        assert stranger.poll() is None
        assert leftovers.end(tmp_path / "here") == []
    finally:
        for process in (orphan, stranger, *(run[2] for run in runs.values())):
            process.kill()
            process.wait()


@pytest.mark.linux
@pytest.mark.slow
@pytest.mark.exclusive
def test_two_runs_on_one_machine_measure_one_after_the_other(tmp_path):
    """Where the protocol wants that; the wait is no part of the round's duration, and stands in its record."""
    models = [prepared(tmp_path / name) for name in ("one", "two", "beside")]
    calls = [command(model, {"sleep_s": 0.1}, exclusive=model.name != "beside") for model in models]
    with node.alone():
        begin = time.monotonic()
        processes = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for words, _ in calls]
        assert processes[2].wait(60) == 0  # it waits for nobody
        time.sleep(1.0)
        assert [process.poll() for process in processes[:2]] == [None, None]
        held = time.monotonic() - begin
    said = [process.communicate(timeout=60)[1] for process in processes]
    records = [rounds.read(where / "result.json") for _, where in calls]
    assert [record.status for record in records] == ["ok"] * 3
    waits = [record.waited_s for record in records]
    assert waits[2] is None and min(waits[:2]) > 0
    assert max(waits[:2]) - min(waits[:2]) > 0.1 * 5  # five samples of the one that went first
    assert held + 60 > max(waits[:2]) and all("waits for its end" in text for text in said[:2])
    assert "waits" not in said[2]


def test_without_abstract_sockets_a_file_is_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(node, "_temporary", lambda: tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import time\n"
        "from arena.measuring import node; node._temporary = lambda: Path(sys.argv[2])\n"
        "with node.alone(abstract=False, interval_s=0.05): print('held', flush=True); time.sleep(3600)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, SCRIPTS, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    lock = Path(tmp_path, f"arena-measuring-{os.getuid()}.lock")
    assert lock.exists()
    waiter = subprocess.Popen(
        [sys.executable, "-c", code, SCRIPTS, tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "waits for its end" in waiter.stderr.readline()
    holder.kill()  # the system takes it back
    holder.wait()
    assert waiter.stdout.readline() == "held\n"
    waiter.kill()
    waiter.wait()
    with node.alone(abstract=False, interval_s=0.05) as waited:
        assert waited < 60
