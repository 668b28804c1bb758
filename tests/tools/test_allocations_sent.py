"""A table made in several allocations, sent as a submission: what its intake makes of them, and what it refuses."""

import json
import re
import sys

import pytest

import allocations
import collect_platform
import submitted
import take_submission
from allotted import SOURCE, round_record, verdict
from arena import files
from arena.contract import codec
from arena.weights import source
from reporting import allotments, analysis, closing, comparison, export, intake, rows, tables
from reporting import rounds as rounds_module
from reporting.columns import OWN_STATUSES
from reporting.document import build
from reporting.submissions import evidence, lines, packing, table
from reporting.writers import markdown
from runner import REPOSITORY

CARDS = [
    {"name": "NVIDIA H200", "index": number, "uuid": f"GPU-{number}", "driver": "580.159.04"}
    for number in (0, 1)
]
CPUS = [[0, 1, 2, 3], [4, 5, 6, 7]]
MODELS = {name: submitted.MODEL for name in ("A", "B", "C", "D", "E", "F")}
CONFIG = {"models": MODELS, "gate": submitted.GATE, "run": {"baseline": "pytorch-eager"}, "frameworks": {}}


def measure(
    directory, identity, cells, hour, *, card=0, rounds=1, factor=1.0, host="vm", error=1e-7, **changes
):
    """Records of an allocation in a directory: ``cells`` are {(model, row): ms}. The archive's path."""
    results = directory / identity / "results"
    minute = 0
    for number in range(1, rounds + 1):
        for (model, row), time in cells.items():
            started = f"2026-11-28T{hour:02d}:{minute // 60:02d}:{minute % 60:02d}+00:00"
            minute += 15
            record = round_record(
                model, row, number, started, card=CARDS[card], cpus=CPUS[card], host=host,
                milliseconds=time * factor, **changes,
            )  # fmt: skip
            files.write_json(results / f"benchmarks/gpu/{model}/{row}/round-{number}.json", record)
            files.write_json(
                results / f"validation/gpu/{model}/{row}.json", verdict(model, row, "pass", error)
            )
            files.write_json(results / f"models/{model}/source.json", SOURCE)
            files.write_json(results / f"models/{model}/config.json", submitted.MODEL["architecture"])
    out = directory / f"{identity}.tar.gz"
    allocations.pack(results, "gpu", identity, out)
    return out


FIRST = {(model, row): 40.0 for model in "ABC" for row in ("pytorch-eager", "jax")}
OTHER = {(model, row): 40.0 for model in "DEF" for row in ("pytorch-eager", "jax")}
LATER = {(model, row): 40.0 for model in "ABCDEF" for row in ("pytorch-eager", "mlx")}


@pytest.fixture
def merged(tmp_path):
    """Two cards of one host at once, and the whole table's baseline with another row an hour later, 5 % slower."""
    archives = [
        measure(tmp_path, "a1-0", FIRST, 9, rounds=2),
        measure(tmp_path, "a1-1", OTHER, 9, card=1, rounds=2),
        measure(tmp_path, "a2", LATER, 10, rounds=2, factor=1.05, error=2e-7),
    ]
    allocations.merge(archives, tmp_path / "results", "h200", "pytorch-eager")
    return tmp_path / "results"


def account_of(results):
    return allotments.read(results / "allocations/h200.json")


def read(directory, text):
    path = directory / "mine.jsonl"
    path.write_text(text)
    return evidence.read(path)


def test_cards_and_cores_of_two_at_once_are_told(merged):
    first, second, later = account_of(merged).allocations
    assert [each.id for each in (first, second, later)] == ["a1-0", "a1-1", "a2"]
    assert [[card.index for card in each.cards] for each in (first, second, later)] == [[0], [1], [0]]
    assert [each.cpus for each in (first, second, later)] == [[CPUS[0]], [CPUS[1]], [CPUS[0]]]
    assert [codec.encode(each.beside) for each in (first, second, later)] == [
        [{"id": "a1-1", "rounds": 12}],
        [{"id": "a1-0", "rounds": 12}],
        [],
    ]
    words = "a1-0 (2 rounds, card 0, CPUs 0-3, beside a1-1); a2 (2 rounds, card 0, CPUs 0-3)"
    assert allotments.words(account_of(merged), "A/pytorch-eager") == words
    assert allotments.said([words, None, "a1-1 (2 rounds, card 1, CPUs 4-7, beside a1-0)"]) == (
        "measured in 3 allocations, 2 of them while another card of the host was busy"
    )
    assert allotments.said([None, None]) is None
    beside = "while another card of the host was busy"
    assert allotments.said(["a (1 round, beside b)"]) == f"measured in 1 allocation {beside}"
    assert allotments.said(["a (1 round, beside b); b (2 rounds, beside a)"]) == (
        f"measured in 2 allocations, each {beside}"
    )
    assert allotments.said(["a (1 round, card 0)"]) == "measured in 1 allocation"


def test_a_published_table_goes_on(tmp_path, merged):
    """Two allocations, published, and a third: as if all three had been put together at once."""
    first = [tmp_path / f"{name}.tar.gz" for name in ("a1-0", "a1-1")]
    allocations.merge(first, tmp_path / "begun", "h200", "pytorch-eager")
    path = tmp_path / "begun.jsonl"
    path.write_text(packing.packed(tmp_path / "begun", "h200", CONFIG, "H200"))
    said = allocations.merge([path, tmp_path / "a2.tar.gz"], tmp_path / "gone", "h200", "pytorch-eager")
    assert said.endswith("48 rounds of 18 cells from 3 allocations")
    whole, gone = account_of(merged), account_of(tmp_path / "gone")
    for one, other in zip(whole.allocations, gone.allocations, strict=True):
        assert (one.id, one.rounds, one.judged) == (other.id, other.rounds, other.judged)
    for file in sorted(merged.glob("benchmarks/h200/*/*/*.json")):
        old, new = (files.read_json(each) for each in (file, tmp_path / "gone" / file.relative_to(merged)))
        assert new["tasks"] == old["tasks"] and new["round"] == old["round"]
    for file in sorted(merged.glob("validation/h200/*/*.json")):
        assert files.read_json(tmp_path / "gone" / file.relative_to(merged)) == files.read_json(file)
    single = tmp_path / "single.jsonl"
    single.write_text(packing.packed(tmp_path / "a1-0/results", "gpu", CONFIG, "H200"))
    with pytest.raises(allocations.AllocationError, match="names no allocations"):
        allocations.merge([single], tmp_path / "none", "h200", "pytorch-eager")


def test_machines_of_two_hosts_are_not_beside_each_other(tmp_path):
    archives = [measure(tmp_path, "a", FIRST, 9), measure(tmp_path, "b", OTHER, 9, card=1, host="vm2")]
    allocations.merge(archives, tmp_path / "results", "h200", "pytorch-eager")
    found = account_of(tmp_path / "results").allocations
    assert [(each.host, each.beside) for each in found] == [("host 1", []), ("host 2", [])]


def test_a_submission_keeps_the_allocations_and_gives_the_platform_s_own_table(tmp_path, merged):
    text = packing.packed(merged, "h200", CONFIG, "H200", "Somebody")
    assert "GPU-0" not in text and '"vm"' not in text
    found = read(tmp_path, text)
    assert [each.id for each in found.account.allocations] == ["a1-0", "a1-1", "a2"]
    assert [card.uuid for each in found.account.allocations for card in each.cards] == [
        "card 1",
        "card 2",
        "card 1",
    ]
    theirs = {(row["model"], row["row"]): row for row in recomputed(found)}
    names = ["pytorch-eager", "jax", "mlx"]
    cells = [
        cell
        for model in MODELS
        for cell in rounds_module.cells(
            merged.glob(f"benchmarks/h200/{model}/*/*.json"),
            merged.glob(f"validation/h200/{model}/*.json"),
            "h200",
            [model],
            names,
            [merged / "allocations/h200.json"],
        )
    ]
    own = rows.rows(cells, "H200", "pytorch-eager", dict.fromkeys(MODELS, source.of(SOURCE)))
    assert len(own) == len(theirs) == 18
    same = [name for name in own[0] if name not in ("records", "repeat", "retry", "measured_by", "weights")]
    for row in own:
        their = theirs[row["model"], row["row"]]
        assert {name: their.get(name) for name in same} == {name: row.get(name) for name in same}
    # mlx is 5 % slower by its own times, and not by the baseline that both parts have.
    eager, jax, mlx = (theirs["A", name] for name in names)
    assert mlx["inference_ratio"] == pytest.approx(1.0, abs=0.02)
    assert jax["allocations"] == "a1-0 (2 rounds, card 0, CPUs 0-3, beside a1-1)"
    assert eager["rounds"] == 4 and eager["status"] == "pass"
    assert {name for cell in found.cells for name in cell.blocks} == {
        (identity, number) for identity in ("a1-0", "a1-1", "a2") for number in (1, 2)
    }


def recomputed(found):
    return table.recomputed(found, submitted.GATE, {}, 0.02)


def test_the_recomputed_table_s_account_has_them(tmp_path, merged, monkeypatch):
    (tmp_path / "mine.jsonl").write_text(packing.packed(merged, "h200", CONFIG, "H200"))
    words = ["take", "--submission", tmp_path / "mine.jsonl", "--gate", json.dumps(submitted.GATE)]
    words += ["--least-difference", "0.02", "--catalogue", "{}", "--out", tmp_path / "mine.csv"]
    monkeypatch.setattr(sys, "argv", [*map(str, words), "--account", str(tmp_path / "mine.json")])
    take_submission.main()
    told = files.read_json(tmp_path / "mine.json")["allocations"]
    assert [(each["id"], each["cpus"], each["beside"][:1]) for each in told] == [
        ("a1-0", [CPUS[0]], [{"id": "a1-1", "rounds": 12}]),
        ("a1-1", [CPUS[1]], [{"id": "a1-0", "rounds": 12}]),
        ("a2", [CPUS[0]], []),
    ]
    rows_shown = intake.published([], [tmp_path / "mine.csv"])
    ((_, note),) = comparison.sources(rows_shown).values()
    assert str(note).endswith("measured in 3 allocations, 2 of them while another card of the host was busy")


def test_rows_that_are_not_sent_are_in_no_allocation(tmp_path, merged):
    text = packing.packed(merged, "h200", CONFIG, rows=["pytorch-eager", "jax"])
    found = read(tmp_path, text)
    shares = {share.cell.split("/")[1] for each in found.account.allocations for share in each.rounds}
    assert shares == {"pytorch-eager", "jax"}
    only = read(tmp_path, packing.packed(merged, "h200", CONFIG, rows=["mlx", "pytorch-eager"]))
    assert len(only.account.allocations) == 3


def test_a_round_that_began_with_empty_caches_is_no_warm_one(tmp_path, merged):
    """Of each allocation the first round is cold; compile times of made-up rounds: 2.5 s, then 1.25 s."""
    eager = next(row for row in recomputed(read(tmp_path, packing.packed(merged, "h200", CONFIG)))
                 if row["row"] == "pytorch-eager")  # fmt: skip
    assert (eager["compile_s"], eager["compile_warm_s"]) == (2.5, 1.25)


LACKING = [
    allotments.Missing(cells="F/jax", why="the card was given back"),
    allotments.Missing(cells="*/onnxruntime", why="the last allocation ended before its turn"),
]
SHORT = {"models": ["A", "F"], "rows": ["pytorch-eager", "onnxruntime", "jax"], "baseline": "pytorch-eager"}
FRAMEWORKS = {
    "pytorch": {"rows": {"pytorch-eager": {"lane": "float32"}}, "unsupported": {}, "unsupported_tasks": {}},
    "jax": {"rows": {"jax": {"lane": "float32"}}, "unsupported": {}, "unsupported_tasks": {}},
    "onnxruntime": {"rows": {"onnxruntime": {"lane": "float32"}}, "unsupported": {}, "unsupported_tasks": {}},
}
NEVER = ("the card was given back", "the last allocation ended before its turn")


@pytest.fixture
def short(tmp_path):
    """A table of two models and three rows, three of whose six cells nobody measured."""
    cells = {("A", "pytorch-eager"): 40.0, ("A", "jax"): 20.0, ("F", "pytorch-eager"): 40.0}
    archive = measure(tmp_path, "a1", cells, 9, rounds=2)
    allocations.merge([archive], tmp_path / "results", "h200", "pytorch-eager", LACKING)
    return tmp_path / "results"


def test_a_cell_that_nobody_measured_is_in_the_table_with_its_reason(tmp_path, short, monkeypatch):
    absent = [("A", "onnxruntime", 1), ("F", "onnxruntime", 1), ("F", "jax", 0)]
    told = [
        {"model": model, "row": row, "framework": row, "lane": "float32", "why": NEVER[why]}
        for model, row, why in absent
    ]
    paths = {
        "rounds": short.glob("benchmarks/h200/*/*/*.json"),
        "validations": short.glob("validation/h200/*/*.json"),
        "sources": short.glob("models/*/source.json"),
        "models": ["A", "F"],
        "rows": SHORT["rows"],
    }
    words = [
        "collect",
        "--platform",
        "h200",
        "--label",
        "H200",
        "--baseline",
        "pytorch-eager",
        "--retry",
        "r",
    ]
    words += ["--labels", json.dumps({"onnxruntime": "ONNX Runtime"}), "--unmeasured", json.dumps(told)]
    words += ["--allocations", short / "allocations/h200.json", "--out", tmp_path / "h200.csv"]
    words += ["--analysis", tmp_path / "h200.json", "--failures", tmp_path / "failures.json"]
    for name, values in paths.items():
        words += [f"--{name}", *values]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    collect_platform.main()
    found = analysis.read([tmp_path / "h200.json"])
    assert [(row["model"], row["row"]) for row in found] == [
        (m, r) for m in ("A", "F") for r in SHORT["rows"]
    ]
    lacking = {(row["model"], row["row"]): row for row in found if row["reason_code"] == "not-measured"}
    assert lacking.keys() == {("A", "onnxruntime"), ("F", "onnxruntime"), ("F", "jax")}
    assert lacking["F", "jax"]["reason_detail"] == NEVER[0] and lacking["F", "jax"]["rounds"] == 0
    assert tables.read([tmp_path / "h200.csv"], OWN_STATUSES)[1]["reason_detail"] == NEVER[1]
    captions = {name: {"title": name, "url": None, "caveats": []} for name in "AF"}
    report = build.report(found, [], captions, [])
    (line,) = [each for each in report.lines() if (each.row["model"], each.row["row"]) == ("F", "jax")]
    assert {(each.text, each.why) for each in line.figures} == {("—", f"not measured: {NEVER[0]}")}
    assert closing.tally(found) == "3 pass, 3 not measured"
    text = markdown.render(report, REPOSITORY / "report/report.md.j2")
    assert "processes that each cell got (2)" in " ".join(text.split())
    assert f"not measured: {NEVER[0]}." in text
    # Without the account's word a cell without records is a fault.
    monkeypatch.setattr(sys, "argv", [*map(str, words), "--unmeasured", json.dumps(told[:2])])
    with pytest.raises(SystemExit, match="F / jax: no round among the files given"):
        collect_platform.main()


def test_what_a_framework_cannot_run_needs_no_word_of_the_account(tmp_path, short):
    reason = {"code": "unsupported-operator", "why": "It has no such convolution."}
    frameworks = FRAMEWORKS | {"jax": FRAMEWORKS["jax"] | {"unsupported": {"F": reason}}}
    path = tmp_path / "short.jsonl"
    path.write_text(packing.packed(short, "h200", CONFIG | {"run": SHORT, "frameworks": frameworks}))
    rows = {row: {"framework": row, "lane": "float32", "label": row, "options": {}} for row in ("jax",)}
    found = evidence.read(path, {"models": {}, "rows": {"jax": rows["jax"] | {"unsupported": {"F": reason}}}})
    said = {(each.model, each.row): (each.code, each.why) for each in found.unmeasured}
    assert said == {
        ("A", "onnxruntime"): ("not-measured", NEVER[1]),
        ("F", "onnxruntime"): ("not-measured", NEVER[1]),
        ("F", "jax"): ("unsupported-operator", "It has no such convolution."),
    }
    (row,) = [row for row in recomputed(found) if (row["model"], row["row"]) == ("F", "jax")]
    assert (row["reason_code"], row["rounds"]) == ("unsupported-operator", 0)


def test_a_submission_tells_what_it_lacks(tmp_path, short):
    text = packing.packed(short, "h200", CONFIG | {"run": SHORT, "frameworks": FRAMEWORKS})
    found = read(tmp_path, text)
    assert [(each.model, each.row, each.why) for each in found.unmeasured] == [
        ("A", "onnxruntime", NEVER[1]), ("F", "onnxruntime", NEVER[1]), ("F", "jax", NEVER[0])
    ]  # fmt: skip
    rows_ = recomputed(found)
    assert [(row["model"], row["row"], row["status"]) for row in rows_] == [
        ("A", "pytorch-eager", "pass"), ("A", "jax", "pass"), ("A", "onnxruntime", "unsupported"),
        ("F", "pytorch-eager", "pass"), ("F", "onnxruntime", "unsupported"), ("F", "jax", "unsupported"),
    ]  # fmt: skip
    path = tmp_path / "mine.csv"
    path.write_text(export.csv_text(rows_), encoding="utf-8")
    shown = intake.published([], [path])
    assert [row["reason_detail"] for row in shown if row["reason_code"] == "not-measured"] == [
        NEVER[1], NEVER[1], NEVER[0]
    ]  # fmt: skip
    for change, words in (
        ({"row": "jax", "framework": "jax", "model": "A"}, "A / jax is missing, yet it is there"),
        ({"model": "Z"}, "model 'Z': expected one of this project"),
        ({"why": ""}, "why: expected words"),
        ({"lane": "wide"}, "lane 'wide'; expected one of float32"),
        ({"more": 1}, "more: unknown"),
    ):
        forged = submitted.forged(
            text,
            lambda changed, change=change: next(line for line in changed if "missing" in line)[
                "missing"
            ].update(change),
        )
        with pytest.raises(lines.SubmissionError, match=words):
            read(tmp_path, forged)


def test_a_table_that_goes_on_still_tells_what_it_lacks(tmp_path, short):
    """The next allocation measured one of the three cells; another reason is given for the second."""
    path = tmp_path / "short.jsonl"
    path.write_text(packing.packed(short, "h200", CONFIG | {"run": SHORT, "frameworks": FRAMEWORKS}))
    later = {("F", "pytorch-eager"): 40.0, ("F", "jax"): 20.0}
    archives = [path, measure(tmp_path, "a2", later, 10)]
    given = [allotments.Missing(cells="A/onnxruntime", why="it crashed")]
    allocations.merge(archives, tmp_path / "gone", "h200", "pytorch-eager", given)
    account = account_of(tmp_path / "gone")
    cells = [("A", "onnxruntime"), ("F", "onnxruntime"), ("F", "jax")]
    assert [account.why_missing(*cell) for cell in cells] == ["it crashed", NEVER[1], None]


def test_what_is_missing_is_given_as_words(tmp_path):
    assert allocations._missing("*/mlx=time = money") == allotments.Missing(cells="*/mlx", why="time = money")
    for wrong in ("mlx=time was up", "*/mlx", "*/mlx= "):
        with pytest.raises(allocations.AllocationError, match="expected MODEL/ROW=WHY"):
            allocations._missing(wrong)


def forge(identity, **changes):
    """Changes keys of an allocation."""

    def edit(changed):
        (found,) = [
            line["allocation"] for line in changed[2:] if line.get("allocation", {}).get("id") == identity
        ]
        found.update({key: change(found[key]) for key, change in changes.items()})

    return edit


def drop(identity):
    return lambda changed: changed.remove(
        next(line for line in changed[2:] if line.get("allocation", {}).get("id") == identity)
    )


FORGED = {
    "beside nobody": (forge("a1-0", beside=lambda _: []), "allocation 'a1-0': beside is [], its rounds say [{'id'"),
    "other cores": (forge("a2", cpus=lambda _: [[0]]), "allocation 'a2': cpus is [[0]], its rounds say [[0, 1, 2, 3]]"),
    "another time": (forge("a2", began=lambda _: "2026-11-28T08:00:00+00:00"), "allocation 'a2': began is"),
    "another driver": (
        forge("a2", cards=lambda cards: [card | {"driver": "1"} for card in cards]),
        "card and driver of allocation 'a2'",
    ),
    "another clock": (forge("a2", sm_mhz=lambda _: [1.0, 2.0]), "sm_mhz is [1.0, 2.0], its rounds say [1680.0"),
    "one allocation less": (drop("a1-1"), "is in no allocation; expected it in one"),
    "one twice": (forge("a2", id=lambda _: "a1-0"), "allocation 'a1-0' is there 2 times"),
    "a round of two": (
        forge("a2", rounds=lambda shares: [shares[0] | {"here": 2}, *shares[1:]]),
        "round 2 of A/mlx is named 2 times",
    ),
    "a round that is not there": (
        forge("a2", rounds=lambda shares: [*shares, shares[0] | {"here": 9, "there": 9}]),
        "round 9 of A/mlx is named, and there is no record of it",
    ),
    "one round for two": (
        forge("a2", rounds=lambda shares: [share | {"there": 1} for share in shares]),
        "allocation 'a2': round 1 of A/mlx is there twice",
    ),
    "nobody's verdict": (forge("a1-0", judged=lambda _: []), "judged: A/jax is 0 times there"),
    "the better verdict's allocation": (
        lambda changed: (
            forge("a2", judged=lambda cells: [cell for cell in cells if cell != "A/pytorch-eager"])(changed),
            forge("a1-0", judged=lambda cells: sorted([*cells, "A/pytorch-eager"]))(changed),
        ),
        "expected one of the 2 rounds",
    ),
    "a name that is none": (forge("a2", id=lambda _: "a 2; b"), "allocation 'a 2; b': expected letters"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_an_account_that_does_not_follow_from_the_rounds_is_refused(tmp_path, merged, name):
    change, words = FORGED[name]
    text = submitted.forged(packing.packed(merged, "h200", CONFIG), change)
    with pytest.raises(lines.SubmissionError, match=re.escape(words)) as refused:
        read(tmp_path, text)
    assert re.match(r".*mine\.jsonl:\d+: ", str(refused.value))


def test_the_worst_verdict_is_held_against_its_own_allocation(tmp_path):
    """Losses of another one, whose kernels round otherwise, do not contradict it."""
    cells = {("A", "pytorch-eager"): 40.0}
    archives = [measure(tmp_path, "a1", cells, 9), measure(tmp_path, "a2", cells, 10, error=3e-7)]
    results = tmp_path / "results"
    allocations.merge(archives, results, "h200", "pytorch-eager")
    one = results / "benchmarks/h200/A/pytorch-eager/round-1.json"
    files.write_json(one, files.read_json(one) | {"loss": 6.0131})  # 1e-4 from that of the verdict's output
    assert read(tmp_path, packing.packed(results, "h200", CONFIG)).cells[0].rounds[0].loss == 6.0131
    two = one.with_name("round-2.json")
    files.write_json(two, files.read_json(two) | {"loss": 6.0131})
    with pytest.raises(lines.SubmissionError, match=r"round 2 printed the loss 6\.0131"):
        read(tmp_path, packing.packed(results, "h200", CONFIG))


def test_parts_of_another_configuration_are_refused(tmp_path):
    cells = {("A", "pytorch-eager"): 40.0}
    archives = [measure(tmp_path, "a1", cells, 9), measure(tmp_path, "a2", cells, 10, options={"fast": True})]
    with pytest.raises(
        allocations.AllocationError, match=r"A/pytorch-eager differs in options from what .*a1"
    ):
        allocations.merge(archives, tmp_path / "results", "h200", "pytorch-eager")


def test_a_cell_on_two_cards_is_not_packed(tmp_path):
    cells = {("A", "pytorch-eager"): 40.0}
    measure(tmp_path, "a1", cells, 9, rounds=2)
    path = tmp_path / "a1/results/benchmarks/gpu/A/pytorch-eager/round-2.json"
    record = files.read_json(path)
    record["machine"]["gpu"]["uuid"] = "GPU-1"
    files.write_json(path, record)
    with pytest.raises(allocations.AllocationError, match="A/pytorch-eager ran on cards GPU-0, GPU-1"):
        allocations.pack(tmp_path / "a1/results", "gpu", "a1", tmp_path / "again.tar.gz")
