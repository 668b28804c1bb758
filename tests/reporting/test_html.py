"""The page and its JSON, without a browser: what is in them, and what strangers' text does to them."""

import base64
import gzip
import hashlib
import json
import re

import jsonschema
import pytest

import pages
import records
from pages import Outline, mixed, published_row, render, write_rows
from platform_csv import edit, own_csv
from published_csv import PUBLISHED
from reporting import tables
from reporting.columns import PUBLISHED_STATUSES
from runner import REPOSITORY

SCHEMA = json.loads((REPOSITORY / "workflow/schemas/report.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page of a run beside all published rows and one of our own model."""
    directory = tmp_path_factory.mktemp("page")
    other = write_rows(
        directory / "desk.csv",
        published_row(),
        published_row(framework="Burn", status="different", loss="9.99"),
    )
    return render(directory, mixed(directory), [other, *PUBLISHED])


@pytest.fixture(scope="module")
def outline(made):
    return Outline(made.read_text(encoding="utf-8"))


def test_every_cell_is_in_a_table_without_javascript(outline):
    rows = outline.table("Tiny: times are medians")
    assert rows[0] == [
        *("Machine", "Framework", "Compile (s)", "Inference (ms)", "Latency (ms)", "Training (ms)", "Loss")
    ]
    eager, compiled, onnx, jax, pytorch, burn = rows[1:]
    assert [row[0] for row in rows[1:]] == ["This machine"] * 4 + ["Desk †"] * 2
    assert re.fullmatch(r"\d\d, fastest[\d.–]+", eager[3]) and ", fastest" in compiled[3]  # noqa: RUF001
    assert re.fullmatch(r"\d\d?≈, close, not ranked[\d.–]+", onnx[3])  # noqa: RUF001
    assert jax[2:] == ["✗", "✗", "✗", "✗", ""]
    assert pytorch[2:] == ["1.50, fastest", "40, fastest", "4.0, fastest", "120, fastest", "6.01"]
    assert burn[3] == "40, wrong, not ranked"


def test_winners_are_named_with_their_lead_and_ties_as_ties(outline):
    line, desk = outline.table("Tiny: who is first on each machine")[1:3]
    assert line[0] == "This machine" and desk[0].startswith("Desk")
    names = r"PyTorch (eager|compiled), PyTorch (eager|compiled)"
    assert re.fullmatch(rf"{names} [\d.–]+ ?tie all that are ranked", line[2])  # noqa: RUF001
    assert desk[2] == "PyTorch 40alone"


def test_behind_a_cell_are_its_processes_verdict_environment_log_and_command(outline, made):
    text = " ".join(" ".join(outline.words).split())
    assert "Tiny: JAX on This machine failed crashed: no end after 900 s" in text
    assert "line 39" in text and "Measure it again results/retry local/Tiny/jax" in text
    assert "inference relative l2 3.1e-07" in text
    assert re.search(r"Inference \d\d ms [\d.–]+ shares the first place with PyTorch compiled", text)  # noqa: RUF001
    assert "Latency ✗ failed: crashed: no end after 900 s" in text
    assert re.search(r"Where it comes from \S*benchmarks/local/Tiny/eager/round-1\.json , ", text)
    assert re.search(r"inference 1 2026-11-22 10:01:00 3 12 \d\d\.\d\d", text)
    data = re.search(r'id="data">(.*?)</script>', made.read_text(encoding="utf-8")).group(1)
    behind = json.loads(data)["evidence"]["cell-0"]
    assert [len(vector) for vector in behind["samples"]["inference"]] == [12, 12, 12]
    low, high = behind["ends"]["inference"]
    assert low < 40 * 1.02 and high > 40 * 0.98 and low < high
    # 3.1e-7 of the 1e-4 that pass; up to ten times those it would be close.
    assert behind["limits"][0] == ["inference: relative l2", 0.0031, "3.1e-07 ≤ 0.0001", 10]


def test_the_page_needs_no_network_and_runs_only_its_own_scripts(outline, made):
    text = made.read_text(encoding="utf-8")
    fetching = {"src", "srcset", "data", "poster", "action", "formaction"}
    for tag, attributes in outline.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img"), tag
        assert not fetching & set(attributes), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    policy = next(
        a["content"] for t, a in outline.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    # The page's own script, and Vega's, which that one unpacks.
    own = re.search(r'<script type="module">(.*?)</script>', text, re.DOTALL).group(1)
    packed = re.search(r'<script type="text/plain" id="vega">(.*?)</script>', text).group(1)
    vega = gzip.decompress(base64.b64decode(packed))
    digests = [hashlib.sha256(code).digest() for code in (own.encode("utf-8"), vega)]
    assert re.findall("'sha256-(.*?)'", policy) == [base64.b64encode(each).decode() for each in digests]
    assert text.count("<script") == text.count('<script type="application/json"') + 2


def test_a_run_without_any_figure_has_its_page_and_an_empty_folder(tmp_path):
    """As on a platform whose accelerator is not there."""
    failed = [records.failed(row, code="no-device") for row in ("eager", "jax")]
    verdicts = [records.verdict_record(row, None) for row in ("eager", "jax")]
    page = render(tmp_path, own_csv(tmp_path, failed, verdicts, ("eager", "jax")))
    assert list((page.parent / "figures").iterdir()) == []
    assert "no-device" in page.read_text(encoding="utf-8")


def test_figures_are_files_with_plain_colours(made):
    svg = (made.parent / "figures" / "Tiny.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg") and "PyTorch eager" in svg and "Latency" in svg
    assert "var(" not in svg and "#0b7a5b" in svg


def test_json_says_the_same_and_keeps_to_its_schema(made):
    told = json.loads((made.parent / "report.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    (tiny,) = told["models"]
    own = [line for line in tiny["lines"] if line["own"]]
    assert [line["row"]["status"] for line in own] == ["pass", "pass", "close", "failed"]
    published = tables.read(PUBLISHED, PUBLISHED_STATUSES)
    lines = [line for model in [tiny, *told["elsewhere"]] for line in model["lines"]]
    assert len(lines) == 4 + 2 + len(published)
    assert told["badges"]["gate"]["message"] == "2 of 4 cells pass"
    assert told["changes"] is None
    assert {finding["kind"] for finding in told["findings"]} >= {"fastest", "speed-up", "gate"}
    assert [line["row"]["loss"] for line in lines if line["row"].get("loss") == "∞"] == ["∞"]


def test_json_has_every_figure_with_its_mark_reason_and_source(made):
    told = json.loads((made.parent / "report.json").read_text(encoding="utf-8"))
    eager, _, onnx, jax, _, burn = told["models"][0]["lines"]
    marks = {
        line["row"]["framework"]: [each["mark"] for each in line["figures"]] for line in (eager, onnx, jax)
    }
    assert marks == {
        "PyTorch eager": [marks["PyTorch eager"][0], "best", "best", "best", "plain"],
        "ONNX Runtime": ["close"] * 5,
        "JAX": ["failed"] * 5,
    }
    inference = eager["figures"][1]
    assert inference["column"] == "inference_ms" and inference["low"] < inference["value"] < inference["high"]
    assert inference["value"] == eager["row"]["inference_ms"]
    assert inference["why"] == "shares the first place with PyTorch compiled"
    assert onnx["figures"][3]["why"].endswith("; a row is judged as a whole, so none of it is ranked")
    assert jax["figures"][1] == {
        "column": "inference_ms", "mark": "failed", "why": "failed: crashed: no end after 900 s"
    }  # fmt: skip
    assert eager["source"]["command"] == "results/retry local/Tiny/eager"
    assert [path.rsplit("/", 4)[1:] for path in eager["source"]["files"]] == [
        ["local", "Tiny", "eager", f"round-{number}.json"] for number in (1, 2, 3)
    ]
    assert burn["source"]["files"][0].endswith("desk.csv") and burn["source"]["command"] is None
    assert burn["figures"][1]["why"] == "wrong by its source's own rule, which gives no figure"


def test_a_second_report_says_what_changed_since_and_keeps_saying_so(tmp_path):
    render(tmp_path, mixed(tmp_path))
    own = mixed(tmp_path, eager=80.0)
    for _ in range(2):  # the second time nothing changed, so the same changes stand
        page = render(tmp_path, own)
        told = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(SCHEMA).validate(told)
        slower = [(c["framework"], c["column"], c["kind"]) for c in told["changes"]["cells"]]
        assert slower == [
            ("PyTorch eager", f"{t}_ms", "slower") for t in ("inference", "latency", "training")
        ]
        assert all(1.8 < c["low"] < c["ratio"] < c["high"] < 2.2 for c in told["changes"]["cells"])
        rows = Outline(page.read_text(encoding="utf-8")).table("Changed cells")
        assert [row[:4] for row in rows[1:2]] == [["slower", "This machine", "Tiny", "PyTorch eager"]]


def test_a_report_says_which_versions_changed_since_the_last(tmp_path):
    render(tmp_path, mixed(tmp_path))

    def newer(rows):
        for row in rows:
            row["kernel"] = "Linux 9"
            if row["row"] == "eager":
                row["packages"] = row["packages"] | {"torch": "2.14.0"}

    page = render(tmp_path, edit(mixed(tmp_path), newer))
    content = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    moved = [(each["name"], each["new"], each["frameworks"]) for each in content["changes"]["versions"]]
    assert sorted(moved) == [
        ("kernel", "Linux 9", ["every framework"]),
        ("torch", "2.14.0", ["PyTorch eager"]),
    ]
    text = " ".join("".join(Outline(page.read_text(encoding="utf-8")).words).split())
    assert "torch 2.13.0 → 2.14.0 PyTorch eager" in text


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</noscript><script>alert(1)</script>",
    "a|b`c*d_e",
    "two\nlines\r\nand\ttabs",
    '=HYPERLINK("https://evil.example","x")',
    "‮reversed‬\u2066\u200b",
    "'; DROP TABLE cells; --",
    "&lt;b&gt;",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- </script> -->",
]


def named(directory, text):
    """A page beside a machine whose every name is this text."""
    names = dict.fromkeys(("platform", "framework", "version", "backend"), text)
    source = {"measured_by": text, "date": "2026-01"}
    rows = [published_row(**names), published_row(**names | {"framework": f"{text} 2", "inference_ms": "20"})]
    other = write_rows(directory / "evil.csv", *(row | source for row in rows))
    return Outline(render(directory, mixed(directory), [other]).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    return named(tmp_path_factory.mktemp("harmless"), "Plain")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_stays_text(tmp_path, harmless, text):
    outline = named(tmp_path, text)
    assert [tag for tag, _ in outline.elements] == [tag for tag, _ in harmless.elements]
    shown = " ".join("".join(c for c in text if c not in "‮‬\u2066\u200b").split())
    line = outline.table("Tiny: times are medians")[5]
    assert line[0].startswith(shown) and line[1].startswith(shown)
    assert outline.table("Tiny: who is first")[2][0].startswith(shown)


def test_two_machines_of_one_name_are_told_apart(tmp_path):
    files = [
        write_rows(tmp_path / f"{who}.csv", published_row(platform="This machine") | {"measured_by": who})
        for who in ("one", "two")
    ]
    # One table twice is refused, so the second has another framework.
    files[1] = write_rows(
        files[1], published_row(platform="This machine", framework="X") | {"measured_by": "two"}
    )
    outline = Outline(render(tmp_path, mixed(tmp_path), files).read_text(encoding="utf-8"))
    names = list(dict.fromkeys(row[0] for row in outline.table("Tiny: times are medians")[1:]))
    assert names == ["This machine (local, this run)", "This machine (one.csv) †", "This machine (two.csv) ‡"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([published_row(inference_ms="nan")], r"bad\.csv:2: column 'inference_ms': 'nan'"),
        (
            [published_row(), published_row(framework="B", training_ms="-1")],
            r"bad\.csv:3: column 'training_ms'",
        ),
        ([published_row(latency_ms="4 ms")], r"bad\.csv:2: column 'latency_ms': '4 ms'"),
        ([published_row(), published_row()], r"bad\.csv:3: Desk / Tiny / PyTorch is also at .*bad\.csv:2"),
        ([published_row(status="failed")], r"bad\.csv:2: column 'status': failed or unsupported, yet"),
        (
            [published_row(backend="x" * 10_000_000)],
            r"bad\.csv:2: column 'backend': longer than 200 characters",
        ),
        ([published_row() | {"note": "x" * 200_000}], r"bad\.csv:2: column 'note': longer than 100000"),
        (
            # A median in seconds between ends in milliseconds.
            [published_row(inference_ms="0.04") | {"inference_low_ms": "39", "inference_high_ms": "41"}],
            r"bad\.csv:2: column 'inference_ms': outside its interval",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_with_file_line_and_column(tmp_path, rows, words):
    bad = write_rows(tmp_path / "bad.csv", *rows)
    with pytest.raises(SystemExit, match=words):
        render(tmp_path, mixed(tmp_path), [bad])
    assert not (tmp_path / "out" / "report.html").exists()


def test_missing_columns_and_wrong_encodings_are_refused_with_their_place(tmp_path):
    own = mixed(tmp_path)
    row = published_row()
    del row["backend"]
    thin = write_rows(tmp_path / "thin.csv", row)
    with pytest.raises(SystemExit, match=r"thin\.csv:1: no column 'backend'"):
        render(tmp_path, own, [thin])
    latin = tmp_path / "latin.csv"
    latin.write_bytes((",".join(pages.FIELDS) + "\nBüro,Tiny\n").encode("latin-1"))
    with pytest.raises(SystemExit, match=r"latin\.csv:2: byte 2 \(0xfc\) is not UTF-8"):
        render(tmp_path, own, [latin])


def test_all_faults_of_a_file_are_listed_in_its_order(tmp_path):
    rows = [published_row(framework=f"F{n}", backend="b" * (300 if n % 2 else 3)) for n in range(20)]
    bad = write_rows(tmp_path / "bad.csv", *rows)
    with pytest.raises(SystemExit) as refused:
        render(tmp_path, mixed(tmp_path), [bad])
    lines = str(refused.value).splitlines()
    assert [re.search(r"csv:(\d+)", line).group(1) for line in lines[:-1]] == ["3", "5", "7", "9", "11"]
    assert lines[-1] == "and 5 more"


def test_rows_of_another_precision_are_ranked_by_themselves(tmp_path):
    half = {"lane": "bfloat16", "inference_ms": 5.0, "inference_low_ms": 4.9, "inference_high_ms": 5.1}
    own = edit(mixed(tmp_path), lambda rows: rows[1].update(half))
    text = render(tmp_path, own).read_text(encoding="utf-8")
    lines = {row[1].split("2.13.0")[0]: row for row in Outline(text).table("Tiny: times are medians")[1:]}
    assert ", fastest" in lines["PyTorch eager"][3] and "bfloat16" in lines["PyTorch compiled"][1]
    assert [row[0] for row in Outline(text).table("Tiny: who is first")[1:]] == [
        "This machine",
        "This machine bfloat16",
    ]


def test_generation_has_columns_where_a_model_generates(tmp_path):

    def generate(rows):
        for row, rate in zip(rows, (50, 20, 90), strict=False):  # the last one is close, so not ranked
            for name in ("prefill_tokens_per_s", "decode_tokens_per_s"):
                row |= {name: rate, f"{name}_low": rate - 1, f"{name}_high": rate + 1}

    outline = Outline(render(tmp_path, edit(mixed(tmp_path), generate)).read_text(encoding="utf-8"))
    lines = outline.table("Tiny: times are medians")
    assert lines[0][6:8] == ["Prefill (tokens/s)", "Decode (tokens/s)"]
    assert [line[7] for line in lines[1:4]] == [
        "50.0, fastest49.0–51.0",  # noqa: RUF001
        "20.019.0–21.0",  # noqa: RUF001
        "90.0≈, close, not ranked89.0–91.0",  # noqa: RUF001
    ]
    winner = outline.table("Tiny: who is first")[1][6]
    assert re.fullmatch(r"PyTorch eager 50\.02\.50× ahead \(2\.3\d–2\.6\d\)", winner), winner  # noqa: RUF001
