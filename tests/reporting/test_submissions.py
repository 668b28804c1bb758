"""Submissions: what is packed, what is recomputed from it, and every forgery with what is said of it."""

import csv
import hashlib
import io
import json
import re
import sys
from collections import Counter

import numpy as np
import pytest

import records
import submitted
import take_submission
from arena.configuration import loader
from arena.contract import codec
from arena.contract.round import Allocation, Gpu, Node, OtherJobs
from platform_csv import good
from reporting import catalogue, origins
from reporting.submissions import evidence, lines, packing, strict_json, table
from runner import REPOSITORY


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return submitted.packed(tmp_path_factory.mktemp("run"))


def read(directory, text, catalogue=submitted.CATALOGUE):
    path = directory / "mine.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return evidence.read(path, catalogue)


def recomputed(directory, text, gate=submitted.GATE, catalogue=submitted.CATALOGUE):
    found = table.recomputed(read(directory, text, catalogue), gate, catalogue, 0.02)
    return {row["row"]: row for row in found}


# What is packed


def test_the_same_records_give_the_same_bytes(tmp_path, text):
    assert submitted.packed(tmp_path) == text
    first = submitted.lines(text)[0]
    assert (first["platform"], first["label"], first["measured_by"]) == ("local", "My machine", "Somebody")


def test_every_record_comes_back_as_it_was_but_for_what_is_private(tmp_path, text):
    run = submitted.results(tmp_path)
    found = {
        (cell.row, record.round): record for cell in read(tmp_path, text).cells for record in cell.rounds
    }
    assert len(found) == 6
    for path in run.glob("benchmarks/local/Tiny/*/round-*.json"):
        there = json.loads(path.read_text())
        assert codec.encode(found[there["cell"]["row"], there["round"]]) == there | {"command": None}


def test_who_and_where_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "abracadabra-abracadabra")
    monkeypatch.setattr(packing, "_user", lambda: "mallory")
    record = records.failed("eager", detail="no file /home/mallory/models/x.bin at C:\\Users\\mallory\\y.bin")
    record["log_tail"] = (
        "mallory@darkbox: /data/mallory/run/a.py\nHF_TOKEN=hf_abcdefghijklmnopqrst\npassword: hunter2\n"
        "https://mallory:hunter2@example.org/x abracadabra-abracadabra"
    )
    record["command"] = ["/home/mallory/python", "--key", "x"]
    record |= {"environment": {"HOME": "/home/mallory", "WORK": "darkbox"}, "withheld": ["MALLORY_TOKEN"]}
    record["machine"] |= {"hostname": "darkbox.example.org", "gpu": codec.encode(Gpu(uuid="GPU-1234"))}
    given = Allocation(job="4711", name="darkbox", partition="mallorys", cpus=[0])
    node = Node(
        use="shared", waited_s=0.0, monotonic_s=[1.0, 2.0], other_jobs=OtherJobs(), allocation=given, gpu=None
    )
    record["node"] = codec.encode(node)
    run = submitted.results(tmp_path, [record], [records.verdict_record("eager", None)])
    packed = packing.packed(run, "local", submitted.CONFIG)
    for word in (
        "mallory",
        "MALLORY",
        "darkbox",
        "hunter2",
        "hf_abc",
        "abracadabra",
        "4711",
        "GPU-1234",
        "/data",
        "Users",
    ):
        assert word not in packed, word
    assert "…/x.bin" in packed and "…/a.py" in packed and "card 1" in packed and "job 1" in packed
    assert "https://<secret>@example.org/x" in packed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"platform": "other"}, "other holds no round"),
        ({"config": submitted.CONFIG | {"models": {}}}, "model Tiny: not in the configuration"),
        ({"config": submitted.CONFIG | {"gate": {}}}, "lane float32: no tolerances"),
        (
            {
                "config": submitted.CONFIG
                | {"models": {"Tiny": submitted.MODEL | {"architecture": {"depth": 3}}}}
            },
            r"config\.json is not Tiny as the configuration has it",
        ),
    ],
)
def test_what_cannot_be_packed_is_named(tmp_path, change, words):
    arguments = {
        "results": submitted.results(tmp_path),
        "platform": "local",
        "config": submitted.CONFIG,
    } | change
    with pytest.raises(packing.PackingError, match=words):
        packing.packed(**arguments)


def test_records_of_a_changed_checkout_and_cells_without_verdict_are_not_packed(tmp_path):
    run = submitted.results(tmp_path, good("eager", commit="abc123-dirty"), [])
    with pytest.raises(packing.PackingError, match="commit abc123-dirty: nobody could tell"):
        packing.packed(run, "local", submitted.CONFIG)
    run = submitted.results(tmp_path, good("eager"), [])
    with pytest.raises(packing.PackingError, match=r"validation/local/Tiny/eager\.json: missing"):
        packing.packed(run, "local", submitted.CONFIG)


# What is recomputed


def test_the_table_follows_from_the_samples(tmp_path, text):
    found = recomputed(tmp_path, text)
    assert {row: each["framework"] for row, each in found.items()} == {
        "eager": "PyTorch eager",
        "onnx": "ONNX Runtime (other options)",
        "mine": "mine",
    }
    for row, time in submitted.ROWS.items():
        rounds = [records.round_record(row, number, milliseconds=time) for number in (1, 2)]
        medians = [np.median(each["tasks"]["inference"]["samples_ns"]) for each in rounds]
        assert found[row]["inference_ms"] == pytest.approx(np.exp(np.mean(np.log(medians))) / 1e6, rel=1e-5)
    assert [found[row]["status"] for row in submitted.ROWS] == ["pass"] * 3
    assert found["onnx"]["inference_first"] is True and found["eager"]["inference_first"] is False
    assert found["eager"]["platform"] == "My machine" and found["eager"]["measured_by"] == "Somebody"
    assert found["eager"]["retry"] is None and found["eager"]["forward_flops"] == 1000


def test_verdicts_are_those_of_this_configuration(tmp_path, text):
    def stricter(limit):
        return {"float32": submitted.GATE["float32"] | {"relative_l2": limit}}

    assert recomputed(tmp_path, text, stricter(3e-7))["mine"]["status"] == "close"  # its figures: 3.1e-7
    worse = recomputed(tmp_path, text, stricter(1e-9))["mine"]
    assert worse["status"] == "different"
    # Of this project's tolerances alone is said what noise widened, whatever the file says.
    assert recomputed(tmp_path, text, stricter(2.9e-7))["mine"]["widened"] == "relative_l2 8.7e-07"
    assert worse["verdict_reasons"].startswith(
        "inference: relative L2 3.1e-7 > 3e-9 (float32's noise, 2.9e-7, widens 1e-9)"
    )
    assert worse["inference_first"] is None if "inference_first" in worse else True
    with pytest.raises(ValueError, match=r"mine\.jsonl:\d+: lane 'float32' has no tolerances"):
        recomputed(tmp_path, text, {"tf32": {}})


def test_an_output_that_is_the_reference_s_is_told(tmp_path):
    figures = {"relative_l2": 0.0, "max_error": 0.0}
    run = submitted.results(tmp_path, verdicts=[verdict for verdict in [
        submitted.verdict("eager"), submitted.verdict("onnx", **figures), submitted.verdict("mine")
    ]])  # fmt: skip
    found = recomputed(tmp_path, packing.packed(run, "local", submitted.CONFIG))
    assert "inference: identical to the float64 reference bit for bit" in found["onnx"]["verdict_reasons"]
    assert found["eager"]["verdict_reasons"] is None


def test_the_program_writes_the_csv_of_a_run(tmp_path, text, monkeypatch):
    path, out = tmp_path / "mine.jsonl", tmp_path / "out" / "mine.csv"
    path.write_text(text)
    words = ["take", "--submission", path, "--gate", json.dumps(submitted.GATE), "--least-difference", "0.02"]
    words += ["--catalogue", json.dumps(submitted.CATALOGUE), "--out", out]
    words += ["--account", out.with_suffix(".json")]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    take_submission.main()
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["row"] for row in rows] == ["eager", "mine", "onnx"] and rows[0]["status"] == "pass"
    account = json.loads(out.with_suffix(".json").read_text())
    assert account["table_sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert account["command"] is None and len(account["rounds"]) == 6 and "allocations" not in account
    path.write_text(text.replace("6.0125", "6.0126", 1))
    out.unlink()
    with pytest.raises(SystemExit, match=r"take_submission\.py: .*mine\.jsonl:1: sha256"):
        take_submission.main()
    assert not out.exists()


def test_other_weights_of_the_same_seed_are_told_by_their_sum(tmp_path, text):
    """The local run's have the sum 000…; a submission's row with another file is marked beside it."""

    def other(changed):
        next(line["model"] for line in changed if "model" in line)["source"]["sha256"] = "f" * 64

    mine = recomputed(tmp_path, text)["eager"]
    theirs = recomputed(tmp_path, submitted.forged(text, other))["eager"]
    assert mine["weights"] == theirs["weights"] and theirs["weights_sha256"] == "f" * 64
    assert list(origins.marks([mine, mine, theirs])) == [
        f"seeded (seed 7), yet another file (sha256 {'f' * 12})"
    ]

    def none(changed):
        next(line["model"] for line in changed if "model" in line)["source"]["sha256"] = "nonsense"

    with pytest.raises(lines.SubmissionError, match=r"mine\.jsonl:3: sha256: 'nonsense'; expected 64"):
        read(tmp_path, submitted.forged(text, none))


# What is refused


def edit(kind, row="eager", number=1, **changes):
    """Changes keys of a round or a verdict."""
    return lambda changed: submitted.of(changed, kind, row, number).update(changes)


def cell(number=1, **changes):
    return lambda changed: submitted.cell(changed, number=number).update(changes)


def series(values, name="samples_ns", task="inference", **more):
    def change(changed):
        submitted.of(changed, "round")["tasks"][task].update({name: values} | more)

    return change


def figure(part="inference", **changes):
    return lambda changed: submitted.of(changed, "verdict")["parts"][part].update(changes)


def text_of(told=None, **changes):
    """Figures of a text in the verdict, ``changes`` among them, and in round 1 what it ``told`` of it."""
    figures = dict.fromkeys(("perplexity_change_error", "mean_kl", "mean_kl_error"), 1e-3)
    figures |= {"tokens": 64, "kl_positions": 4, "reference_perplexity": 60.0, "perplexity": 63.0}
    figures |= {"perplexity_change": 0.05, "top1_agreement": 0.9, "note": None} | changes

    def change(changed):
        submitted.of(changed, "round")["quality"] = told
        submitted.of(changed, "verdict")["parts"]["quality"] = figures

    return change


PREDICTED = {"status": "ok", "reason": None, "tokens": 64, "loss": 4.143134726391533, "seconds": 2.0}  # of 63


def header(**changes):
    return lambda changed: changed[0].update(changes)


def model(**changes):
    return lambda changed: changed[2]["model"].update(changes)


def twice(changed):
    changed.append(json.loads(json.dumps(changed[-1])))


def without(kind, row="eager", number=1):
    def change(changed):
        gone = submitted.of(changed, kind, row, number)
        changed[:] = [line for line in changed if line.get(kind) is not gone]

    return change


def same_samples(changed):
    first = submitted.of(changed, "round")["tasks"]["inference"]
    submitted.of(changed, "round", "mine", 2)["tasks"]["inference"]["samples_ns"] = first["samples_ns"]


FORGED = {
    "another format": (header(format="zip"), r":1: format 'zip', schema 1; expected 'arena-submission'"),
    "a later schema": (header(schema=2), r":1: format 'arena-submission', schema 2"),
    "no label": (lambda changed: changed[0].pop("label"), r":1: label: missing"),
    "an unknown key": (header(rank=1), r":1: rank: unknown; expected only"),
    "a label of a book": (header(label="x" * 300), r":1: name 'xxx.*of 300 characters"),
    "a platform that is a path": (header(platform="../x"), r":1: platform '\.\./x': expected letters"),
    "a tolerance of nothing": (header(gate={"float32": {"close_factor": 1}}), r":1: tolerances: missing"),
    "a tolerance in words": (
        header(gate={"float32": submitted.GATE["float32"] | {"relative_l2": "any"}}), r"gate\.float32: expected numb"
    ),
    "a baseline that is not there": (header(baseline="jax"), r":1: baseline 'jax' is no row of these records"),
    "no records": (lambda changed: changed.__delitem__(slice(3, None)), r": no rounds; expected the records"),
    "an unknown record": (lambda changed: changed.append({"rank": {}}), r":\d+: keys \['rank'\]; expected one of"),
    "a list as record": (lambda changed: changed.append([]), r":\d+: list; expected an object"),
    "shared values twice": (lambda changed: changed.append({"shared": []}), r"expected a list 'shared' in line 2"),
    "a value that is not shared": (edit("round", machine=99), r"round: machine: 99; expected the number of one"),
    "another platform": (cell(platform="h100"), r"cell\.platform: 'h100'; expected 'local', as in the header"),
    "another model": (cell(model="Huge"), r"cell\.model: 'Huge'; expected one of Tiny"),
    "another lane": (cell(lane="bfloat16"), r"cell\.lane: 'bfloat16'; expected one of the gate's: float32"),
    "another framework": (cell(framework="jax"), r"cell\.framework: 'jax'; expected 'pytorch', as the row eager"),
    "another definition": (cell(definition="llama"), r"cell\.definition: 'llama'; expected 'resnet'"),
    "other options in round 2": (cell(2, options={"x": 1}), r"Tiny / eager: cell\.options of round 2 is not that of"),
    "a smaller model": (model(architecture={"depth": 1}), r"Tiny: architecture is '\{\"depth\": 1\}'; expected this"),
    "less work": (model(workload={"batch": 0}), r"Tiny: workload is '\{\"batch\": 0\}'; expected this project's"),
    "weights from nowhere": (model(source={"kind": "luck"}), r"kind 'luck': expected 'seeded', 'hub', 'path'"),
    "weights without a seed": (model(source={"kind": "seeded"}), r"source of Tiny's weights: key 'seed' is missing"),
    "round 1 missing": (without("round"), r"Tiny / eager: rounds \[2\]; expected 1 to 1, each once"),
    "round 2 twice": (edit("round", round=2), r"Tiny / eager: rounds \[2, 2\]; expected 1 to 2, each once"),
    "no verdict": (without("verdict"), r"Tiny / eager has no verdict; expected one for each cell"),
    "a verdict too many": (twice, r"a second verdict on Tiny / onnx; the first is in line 12"),
    "a verdict on nothing": (
        lambda changed: submitted.of(changed, "verdict").update(row="jax"),
        r"a verdict on Tiny / jax, of which there is no round",
    ),
    "a verdict of another lane": (edit("verdict", lane="int8"), r"lane 'int8'; the rounds have 'local', 'float32'"),
    "a key too many": (edit("round", rank=1), r"rank: unknown; expected only schema, cell"),
    "a key too few": (lambda changed: submitted.of(changed, "round").pop("loss"), r"loss: missing"),
    "an unknown word": (edit("round", status="great"), r"status: expected 'ok' or 'failed' or 'unsupported', got 'gr"),
    "an unknown verdict": (edit("verdict", verdict="best"), r"verdict: expected 'pass' or 'close' or 'different'"),
    "samples as text": (series("40 ms"), r"tasks\.inference\.samples_ns: expected a list, got str"),
    "a sample as text": (series([40_000_000, "1"]), r"tasks\.inference\.samples_ns\[1\]: expected int, got str"),
    "half nanoseconds": (series([40_000_000, 0.5]), r"samples_ns\[1\]: expected int, got float"),
    "no samples": (series([]), r"tasks\.inference\.samples_ns: empty, though the task is ok"),
    "a sample of 5 ns": (series([5]), r"tasks\.inference\.samples_ns\[0\]: 5 ns; expected 1000 or more"),
    "a sample of 5 ns among others": (
        series([40_000_000, -39_999_995, 40_000_000]), r"samples_ns\[1\]: 5 ns; expected 1000 or more"
    ),
    "negative samples": (series([-5]), r"tasks\.inference\.samples_ns\[0\]: expected at least 0, got -5"),
    "too few samples": (series([40_000_000, 1]), r"2 samples of 0\.08 s in all; the protocol goes on to 5 of 0 s"),
    "more samples than time": (edit("round", duration_s=1.0), r"duration_s: 1, yet its tasks took \d+\.\d+ s"),
    "samples of another row": (same_samples, r"samples_ns: the same as of Tiny / eager, round 1, inference; each"),
    "device times for some": (series([1000], "device_ns"), r"tasks\.inference\.device_ns: 1 for 12 samples_ns"),
    "a task that nobody asked for": (
        lambda changed: submitted.of(changed, "round")["tasks"].update(
            decode=submitted.of(changed, "round")["tasks"]["inference"]
        ),
        r"tasks\.decode: measured, yet the protocol asks for inference, latency, training",
    ),
    "a day to come": (edit("round", started="9999-12-31T00:00:00+00:00"), r"started: '9999-.*expected a time"),
    "a day before all": (edit("round", started="1999-12-31T00:00:00+00:00"), r"started: '1999-.*expected a time"),
    "no day": (edit("round", started="yesterday"), r"started: 'yesterday'; expected a time with its zone"),
    "a changed checkout": (edit("round", commit="abc123-dirty"), r"commit: 'abc123-dirty'; expected the commit of a"),
    "no commit": (edit("round", commit=None), r"commit: 'null'; expected the commit of a clean checkout"),
    "compiling in no time": (edit("round", compile_s=-1.0), r"compile_s: -1\.0; expected nothing below 0"),
    "sums in words": (edit("round", sums={"outputs": "right"}), r"sums\.outputs: 'right'; expected a SHA-256"),
    "a text that nobody predicted": (text_of(), r"figures of a text of 64 tokens, yet round 1 predicted None"),
    "a text of another length": (text_of(PREDICTED, tokens=65), r"a text of 65 tokens, yet round 1 predicted 64"),
    "a text better than said": (
        text_of(PREDICTED, perplexity_change=-0.05), r"perplexity 63 of the reference's 60 is no change by -0\.05"
    ),
    "a text's loss of another": (
        text_of(PREDICTED, perplexity=60.0, perplexity_change=0.0), r"perplexity 60, yet round 1 printed the loss 4\.14"
    ),
    "more than every token right": (text_of(PREDICTED, top1_agreement=1.5), r"top1_agreement: 1\.5; expected 1 at"),
    "a negative divergence": (text_of(PREDICTED, mean_kl=-1e-3), r"parts\.quality\.mean_kl: -0\.001; expected nothing"),
    "pass with relative L2 0.9": (
        figure(relative_l2=0.9), r"verdict pass, yet its figures make it different.*relative L2 9e-1 > 1e-4"
    ),
    "pass where it is close": (figure(relative_l2=2e-4), r"verdict pass, yet its figures make it close"),
    "pass with a wrong gradient": (figure("training", gradient_cosine=0.5), r"make it different .*cosine 0\.5"),
    "pass without its figures": (
        figure("training", loss_error=None), r"make it different .*no loss error could be computed"
    ),
    "training without figures": (
        lambda changed: submitted.of(changed, "verdict")["parts"].update(training=codec.encode(records.Part())),
        r"training was measured, yet the verdict has no figures of it",
    ),
    "no verdict though all is well": (edit("verdict", verdict=None), r"every round is ok, yet the verdict is null"),
    "a verdict though a round failed": (
        edit("round", status="failed", reason={"code": "timeout", "detail": "x"}),
        r"verdict pass, yet a round did not end well",
    ),
    "an agreement of more than all": (figure(top1_agreement=1.5), r"top1_agreement: 1\.5; expected a share"),
    "a cosine of 2": (figure("training", gradient_cosine=2.0), r"gradient_cosine: 2\.0; expected a cosine"),
    "a negative error": (figure(max_error=-1.0), r"parts\.inference\.max_error: -1\.0; expected nothing below 0"),
    "the worst of round 9": (figure(rounds={"max_error": 9}), r"rounds\.'max_error': 9; expected one of the 2 rounds"),
    "another loss than its output's": (edit("round", loss=5.0), r"round 1 printed the loss 5, its output has 6\.01"),
    "another loss than the reference's": (
        edit("round", number=2, training_loss=5.0), r"the training loss of round 2 is 5, 0\.17 from the reference's"
    ),
    "half a character": (edit("round", backend="\ud800"), r"text .* holds half a character|not UTF-8"),
    "a novel": (edit("round", log_tail="x" * 200_000), r"text 'xxx.* of 200000 characters; expected 100000"),
    "1e308 bytes": (edit("round", footprint_bytes=10**30), r"number 1000.* of 31 characters"),
    "1e308 seconds": (edit("round", load_s=1e308), r"number 1e\+308; expected one of a size up to 1e\+18"),
    "not a number": (edit("round", load_s=float("nan")), r"NaN is no JSON; write null"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_submission_is_refused_with_file_place_and_reason(tmp_path, text, name):
    change, words = FORGED[name]
    with pytest.raises(lines.SubmissionError) as refused:
        read(tmp_path, submitted.forged(text, change))
    message = str(refused.value)
    assert re.match(rf"{re.escape(str(tmp_path))}/mine\.jsonl(:\d+)?: ", message), message
    assert re.search(words, message), message
    assert len(message) < 700


def test_the_one_that_is_not_forged_is_taken(tmp_path, text):
    read(tmp_path, submitted.forged(text, lambda changed: None))
    read(tmp_path, text.replace("\n", "\r\n"))  # as a checkout on Windows may have it
    read(tmp_path, submitted.forged(text, text_of(PREDICTED)))


BROKEN = {
    "cut": (lambda text: text[:-100], r":1: sha256 '[0-9a-f]{64}', yet the lines after it have"),
    "one digit changed": (lambda text: text.replace("6.0125", "6.0126", 1), r":1: sha256"),
    "empty": (lambda text: "", r":1: not JSON"),
    "a CSV": (lambda text: "platform,model\n", r":1: not JSON"),
    "deep": (lambda text: "[" * 100_000, r":1: objects and lists nested more than 24 deep"),
    "a key twice": (lambda text: '{"format":"x","format":"y"}\n' + text, r":1: key 'format' is given twice"),
    "huge": (lambda text: text + " " * (17 * 2**20), r": 18 MB; expected 17 MB at most"),
    "a number of 5000 digits": (lambda text: "1" * 5000, r":1: number 111.* of 5000 characters"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused(tmp_path, text, name):
    change, words = BROKEN[name]
    with pytest.raises(lines.SubmissionError, match=words):
        read(tmp_path, change(text))


def test_whatever_is_done_to_a_file_ends_in_one_line(tmp_path, text):
    """Random edits, with the right sum: taken or refused, never a traceback."""
    rng = np.random.default_rng(1)
    values = [None, -1, 0, 1e-320, 10**18, "", "=1+1", "‮", [], {}, [[]], True, "9999-99-99", 5]
    refused = 0

    def places(value, found):
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            found.append((value, key))
            places(value[key], found)
        return found

    for _ in range(300):

        def scramble(changed):
            found = places(changed, [])
            for number in rng.integers(len(found), size=2):
                holder, key = found[number]
                holder[key] = values[rng.integers(len(values))]

        try:
            made = submitted.forged(text, scramble)
        except TypeError:  # the header itself went
            continue
        try:
            read(tmp_path, made)
        except lines.SubmissionError as error:
            refused += 1
            assert str(error).startswith(str(tmp_path))
    assert refused > 200


def test_legal_json_that_no_record_is(tmp_path):
    assert strict_json.loads('{"a": ["\\u00fc]", 1.5, null, true]}') == {"a": ["ü]", 1.5, None, True]}
    with pytest.raises(ValueError, match="nested more than 24 deep"):
        strict_json.loads('{"a":' * 25 + "1" + "}" * 25)


# The first real one


def test_the_h200_s_submission_gives_the_figures_that_its_page_has(tmp_path):
    path = REPOSITORY / "report" / "published" / "nvidia-h200.jsonl"
    assert path.stat().st_size < 1e6
    config = loader.resolve(loader.read_yaml(REPOSITORY / "config" / "config.yaml"), REPOSITORY)
    known = catalogue.of(config)
    found = table.recomputed(evidence.read(path, known), config["gate"], known, 0.02)
    assert Counter(row["status"] for row in found) == {"pass": 41, "unsupported": 54}
    assert not any("other options" in row["framework"] for row in found)
    page = (REPOSITORY / "docs" / "gpu.md").read_text(encoding="utf-8")
    for model in dict.fromkeys(row["model"] for row in found):
        times = {row["row"]: row.get("inference_ms") for row in found if row["model"] == model}
        names = ("pytorch-eager", "pytorch-graph", "jax", "onnxruntime", "onnxruntime-graph")
        names += ("candle", "meganeura", "ctranslate2")
        figures = (f"{times[name]:.2f}" if times[name] else "—" for name in names)
        assert f"| {model} | {' | '.join(figures)} |" in page
