"""Published tables of strangers: what each rests on, whose machine is whose, and what is refused, with its place."""

import csv
import datetime
import re

import numpy as np
import pytest

import submitted
from arena.configuration import loader
from pages import Outline, mixed, published_row, render, write_rows
from platform_csv import good, own_csv
from published_csv import ORIGINAL, PUBLISHED, write_csv
from report_text import details, page, table_lines
from reporting import ages, claims, comparison, fields, intake, listing, machines, series, standing, tables
from reporting.columns import OWN_STATUSES, PUBLISHED_STATUSES
from reporting.document import build
from runner import REPOSITORY

M3 = next(path for path in ORIGINAL if path.stem == "apple-m3")
OURS = {
    "status": "pass", "lane": "float32", "verdict": "pass", "measured_by": "arena", "date": "2026-11-22",
    "inference_ms": "40", "relative_l2": "1e-6",
}  # fmt: skip


def ours(**changes):
    """A row as this arena writes it."""
    return published_row() | OURS | changes


# What a table rests on


def test_the_original_s_tables_are_known_by_their_bytes(tmp_path):
    assert len(ORIGINAL) == len(standing.ORIGINALS) == 7
    rows = intake.published(PUBLISHED)
    assert {row["source"] for row in rows if row["evidence"] == standing.ORIGINAL} == {
        path.name for path in ORIGINAL
    }
    copied, dos = tmp_path / "m3.csv", tmp_path / "dos.csv"
    copied.write_text(M3.read_text(encoding="utf-8").replace("356", "1"), encoding="utf-8")
    dos.write_bytes(M3.read_bytes().replace(b"\n", b"\r\n"))
    assert {row["evidence"] for row in intake.published([copied])} == {standing.CLAIMED}
    assert {row["evidence"] for row in intake.published([dos])} == {standing.ORIGINAL}


def test_a_column_verdict_makes_no_table_ours(tmp_path):
    claimed = write_rows(tmp_path / "claimed.csv", ours())
    records = write_rows(tmp_path / "records.csv", ours())
    rows = intake.published([claimed], [records])
    assert [(row["source"], row["evidence"]) for row in rows] == [
        ("claimed.csv", standing.CLAIMED), ("records.jsonl", standing.RECOMPUTED)
    ]  # fmt: skip
    notes = [note for _, note in comparison.sources(rows, str, "2026-11-28").values()]
    assert notes[0].startswith(
        "arena, claimed.csv (2026-11-22, 6 days before this run), claimed by its source"
    )
    assert notes[1].startswith(
        "arena, records.jsonl (2026-11-22, 6 days before this run), recomputed here from its"
    )


def test_no_file_says_itself_what_it_rests_on(tmp_path):
    path = write_rows(tmp_path / "a.csv", published_row() | {"evidence": "recomputed"})
    with pytest.raises(ValueError, match=r"a\.csv:1: column 'evidence' is for the reader to fill; remove it"):
        intake.published([path])


def test_one_row_changes_no_other_file_s_note(tmp_path):
    alone = comparison.sources(intake.published([M3]))
    stranger = write_rows(
        tmp_path / "x.csv", ours(measured_by="kvark/inferena", date="2026-04", platform="Apple M3")
    )
    both = comparison.sources(intake.published([M3, stranger]))
    first, second = both.values()
    assert [first] == list(alone.values())
    assert "claimed by its source" in second[1]


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ([], ""),
        (["2026-04"], "2026-04, 8 months before this run"),
        (["2026-11-20", "2026-11-21"], "2026-11-20 to 2026-11-21, 7 days before this run"),
        (["2026-11-27"], "2026-11-27, 1 day before this run"),
        (["2026-11-28"], "2026-11-28, no older than this run"),
        (["2021-11-28"], "2021-11-28, 5.0 years before this run"),
    ],
)
def test_the_age_of_a_table_is_told(dates, words):
    assert ages.period(dates, "2026-11-28") == words
    assert ages.period(dates, None) == words.split(",")[0]


# Whose machine is whose


def test_a_row_joins_no_other_file_s_machine_and_takes_none_of_its_bold(tmp_path):
    thief = write_rows(
        tmp_path / "thief.csv",
        ours(platform="Apple M3", model="SmolLM2-135M", framework="Fast", inference_ms="1", latency_ms="1"),
    )
    alone, both = shown([M3]), shown([M3, thief])
    assert len(alone) == 9 and len(both) == 10
    for (machine, framework), signs in alone.items():
        assert machine == "Apple M3" and both["Apple M3 (apple-m3.csv)", framework] == signs
    assert ("Apple M3 (thief.csv)", "Fast") in both


def shown(paths):
    """The marks of SmolLM2's lines of these tables, by machine and framework."""
    report = build.report([], intake.published(paths), {})
    (model,) = [model for model in report.elsewhere if model.name == "SmolLM2-135M"]
    return {
        (line.machine, line.row["framework"]): [each.mark for each in line.figures] for line in model.lines
    }


@pytest.mark.parametrize(
    "name",
    [
        "Apple  M3",
        "apple m3",
        "\u0410pple M3",
        "\uff21\uff50\uff50\uff4c\uff45 M3",
        "App1e M3",
        "Apple M3\u200b",
    ],
)
def test_names_that_look_alike_have_their_file_beside_them(name):
    keys = [("a.csv", "", "Apple M3"), ("b.csv", "", name), ("b.csv", "", "Apple M4")]
    first, second, third = machines.labels(keys).values()
    assert first == "Apple M3 (a.csv)" and second.endswith("(b.csv)") and third == "Apple M4"


def test_no_name_is_made_to_look_like_another_with_its_file():
    keys = [("a.csv", "", "Apple M3"), ("b.csv", "", "Apple M3"), ("b.csv", "", "Apple M3 (a.csv)")]
    found = list(machines.labels(keys).values())
    assert len(set(found)) == 3 and found[2].endswith("(b.csv)")


def test_direction_marks_are_gone_wherever_they_stood(tmp_path):
    marked = "Ti\u202eny\u2066\u200b"
    row = published_row(model=marked, backend=marked, version=marked) | {
        "note\u202e": marked,
        "packages": '{"a\u202e": "1"}',
    }
    (found,) = intake.published([write_rows(tmp_path / "a.csv", row)])
    assert not re.search(
        "[\u202a-\u202e\u2066-\u2069\u200b]", repr([*found, *found.values(), *found["packages"]])
    )
    assert found["model"] == "Tiny" and found["note"] == "Tiny" and found["packages"] == {"a": "1"}


# What is refused


FAULTS = {
    "a status that is not the verdict": (ours(verdict="different"), "column 'status': pass, yet the column 'verdict'"),
    "a match with a verdict": (ours(status="match"), "column 'verdict': there is one, yet the status is that of anot"),
    "an unknown verdict": (ours(verdict="superb"), "column 'verdict': 'superb'; expected pass, close, different"),
    "an unknown lane": (ours(lane="float99"), "column 'lane': 'float99'; expected float32, tf32"),
    "a verdict of no lane": (ours(lane=""), "column 'lane': empty, yet there is a verdict"),
    "an unknown condition": (ours(condition="fine"), "column 'condition': 'fine'; expected clean, noisy, invalid"),
    "an unknown task status": (ours(inference_status="yes"), "column 'inference_status': 'yes'; expected ok, failed"),
    "a reason that is no code": (ours(reason_code="It broke!"), "column 'reason_code': 'It broke!'; expected a code"),
    "a failed task with a figure": (ours(training_status="failed"), "column 'training_status': failed, yet training"),
    "relative L2 0.9 that passes": (ours(relative_l2="0.9"), "column 'relative_l2': 0.9, yet the status is pass; the"),
    "the same without a verdict": (
        published_row(status="pass") | {"relative_l2": "0.9"}, "column 'relative_l2': 0.9, yet the status is pass"
    ),
    "a wrong gradient that passes": (ours(gradient_cosine="0.2"), "column 'gradient_cosine': 0.2, yet the status is"),
    "a day to come": (ours(date="9999-12-31"), "column 'date': '9999-12-31'; expected a day from 2015-01-01 to"),
    "a day that is none": (ours(date="2026-02-30"), "column 'date': '2026-02-30'; expected a day, YYYY-MM-DD"),
    "a day in words": (ours(date="last week"), "column 'date': 'last week'; expected a day, YYYY-MM-DD"),
    "5 ns": (ours(inference_ms="0.000005"), "column 'inference_ms': 5e-06; expected 0.001 ms or more"),
    "a century": (ours(inference_ms="1e13"), "column 'inference_ms': 1e.13; expected 1e.09 ms at most"),
    "1e308": (ours(compile_s="1e308"), "column 'compile_s': 1e.308; expected 0, or a size between 1e-300 and 1e.18"),
    "1e-320": (ours(loss_error="1e-320"), "column 'loss_error': 9.99989e-321; expected 0, or a size between"),
    "a ratio of 0": (ours(inference_ratio="0"), "column 'inference_ratio': 0; expected a ratio between 1e-09 and"),
    "half a round": (ours(rounds="2.5"), "column 'rounds': 2.5; expected a whole number"),
    "agreement of more than all": (ours(top1_agreement="1.1"), "column 'top1_agreement': 1.1; expected a share"),
    "a cosine of 2": (ours(gradient_cosine="2"), "column 'gradient_cosine': 2; expected a cosine"),
    "a number of 300 digits": (ours(loss="1" * 300), r"column 'loss': '1{60}…'; expected a finite number"),
    "a time outside its interval": (
        ours(inference_low_ms="41", inference_high_ms="42"), "column 'inference_ms': outside its interval"
    ),
    "a ratio outside its interval": (
        ours(inference_ratio="2", inference_ratio_low="3"), "column 'inference_ratio': outside its interval"
    ),
    "a minimum far above the time": (ours(inference_min_ms="61"), "column 'inference_min_ms': more than inference_ms"),
    "no samples": (ours(inference_samples="0"), "column 'inference_samples': 0, yet inference_ms has a figure"),
    "first though it failed": (
        published_row(status="close") | {"inference_first": "true"}, "column 'inference_first': true, yet the row is"
    ),
    "versions nested deep": (ours(packages="[" * 100_000), "column 'packages': '\\[{40}'; expected a JSON object"),
    "a column with a book for a name": (ours(**{"x" * 200: "1"}), r":1: column 'x{60}…': a name of 200 characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_is_refused_with_its_place(tmp_path, name):
    row, words = FAULTS[name]
    path = write_rows(tmp_path / "bad.csv", row)
    with pytest.raises(ValueError, match=words) as refused:
        intake.published([path], gate=submitted.GATE)
    assert re.match(rf"{re.escape(str(path))}:[12]: column ", str(refused.value))


def test_the_one_without_a_fault_is_taken(tmp_path):
    (row,) = intake.published([write_rows(tmp_path / "a.csv", ours())], gate=submitted.GATE)
    assert (row["status"], row["inference_ms"]) == ("pass", 40.0)


def test_between_the_two_limits_a_claim_of_pass_is_shown_as_close(tmp_path):
    (row,) = intake.published([write_rows(tmp_path / "a.csv", ours(relative_l2="5e-4"))], gate=submitted.GATE)
    assert row["status"] == "close"


@pytest.mark.parametrize(
    ("error", "widened", "status"),
    [
        ("2e-4", "relative_l2 0.00025", "pass"),
        ("2e-4", "", "close"),
        ("2e-4", "max_error 0.002", "close"),  # of another figure
        ("2e-4", "relative_l2 0.00015", "close"),
        ("5e-4", "relative_l2 0.0006; max_error 0.002", "close"),  # beyond the ceiling
    ],
)
def test_what_noise_widened_counts_up_to_the_ceiling(tmp_path, error, widened, status):
    path = write_rows(tmp_path / "a.csv", ours(relative_l2=error, widened=widened))
    assert intake.published([path], gate=submitted.GATE)[0]["status"] == status


@pytest.mark.parametrize("text", ["", "mean_kl 0.3"])
def test_a_reduced_lane_may_pass_beyond_what_is_close_by_what_noise_widened(tmp_path, text):
    """Up to its ceiling, 16 times the mean KL of int8; beyond it the row is refused, whatever it says."""
    lane = {"lane": "int8", "widened": text and "mean_kl 0.15"}
    path = write_rows(tmp_path / "a.csv", ours(mean_kl="0.1", **lane))
    gate = {"int8": loader.resolve({}, REPOSITORY)["gate"]["int8"]}
    if text:
        assert intake.published([path], gate=gate)[0]["status"] == "pass"
        path = write_rows(tmp_path / "a.csv", ours(mean_kl="0.2", lane="int8", widened=text))
    with pytest.raises(
        ValueError, match=r"column 'mean_kl': 0\.[12], yet the status is pass; the gate takes 0\.\d+"
    ):
        intake.published([path], gate=gate)


@pytest.mark.parametrize(
    "text", ["relative_l2", "relative_l2 1e9999", "loss 0.1", "relative_l2 0.1;max_error 1"]
)
def test_a_widening_that_is_none_is_refused(tmp_path, text):
    path = write_rows(tmp_path / "a.csv", ours(widened=text))
    with pytest.raises(ValueError, match=r"column 'widened': .*expected a column of the gate and its limit"):
        intake.published([path], gate=submitted.GATE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"inference_first": "true"},
            r":3: column 'inference_first': true, yet 4 times as slow as the fastest",
        ),
        (
            {"inference_to_best": "1.0"},
            r":3: column 'inference_to_best': 1, yet the times of the table give 4",
        ),
    ],
)
def test_a_rank_that_the_table_s_own_times_contradict_is_refused(tmp_path, changes, words):
    rows = [ours(framework="A", inference_ms="10"), ours(framework="B")]
    path = write_rows(tmp_path / "bad.csv", *({**dict.fromkeys(changes, ""), **row} for row in rows))
    intake.published([path])
    rows[1] |= changes
    path = write_rows(tmp_path / "bad.csv", *({**dict.fromkeys(changes, ""), **row} for row in rows))
    with pytest.raises(ValueError, match=words):
        intake.published([path])
    if "inference_first" in changes:  # an interval that reaches the fastest lets a row share the first place
        ends = {"inference_to_best_low": "0.9", "inference_to_best_high": "20"}
        wide = [{**dict.fromkeys((*changes, *ends), ""), **rows[0]}, rows[1] | ends]
        assert len(intake.published([write_rows(tmp_path / "wide.csv", *wide)])) == 2


def test_books_are_refused_at_once(tmp_path):
    path = tmp_path / "big.csv"
    path.write_bytes(b"x" * 54_000_000)
    with pytest.raises(ValueError, match=r"big\.csv: 54 MB; expected a table of 34 MB at most"):
        intake.published([path])
    path = write_csv(
        tmp_path / "long.csv", *(f"Desk,Tiny,F{n},1,CPU,pass,1,40,4,120,6" for n in range(200_000))
    )
    with pytest.raises(ValueError, match=r"long\.csv: more than 100000 rows"):
        intake.published([path])
    path = write_rows(tmp_path / "wide.csv", published_row() | {f"c{n}": "" for n in range(2000)})
    with pytest.raises(ValueError, match=r"wide\.csv:1: 2011 columns; expected 1000 at most"):
        intake.published([path])


def test_one_table_in_two_files_is_refused(tmp_path):
    paths = [write_rows(tmp_path / name, published_row()) for name in ("a.csv", "b.csv")]
    with pytest.raises(ValueError, match=r"b\.csv: the same bytes as .*a\.csv; remove one"):
        intake.published(paths)


def test_words_are_those_of_the_code_that_writes_them():
    assert claims.WORDS["inference_series"] == series.KINDS


def test_this_run_s_own_tables_are_taken(tmp_path):
    rounds = [*good("eager", 40.0), *good("onnx", 10.0)]
    path = own_csv(
        tmp_path, rounds, [submitted.verdict("eager"), submitted.verdict("onnx")], ("eager", "onnx")
    )
    rows = intake.read([path], OWN_STATUSES, submitted.GATE)
    assert [row["status"] for row in rows] == ["pass", "pass"]


def test_report_and_page_take_and_refuse_the_same(tmp_path):
    own = mixed(tmp_path)
    for name in ("5 ns", "a day to come", "an unknown lane", "first though it failed"):
        bad = write_rows(tmp_path / "bad.csv", FAULTS[name][0])
        said = []
        for make in (page, render):
            with pytest.raises(SystemExit) as refused:
                make(tmp_path, own, [bad])
            said.append(str(refused.value).split(": ", 1)[1])
        assert said[0] == said[1]


def test_what_is_left_of_absurd_but_legal_numbers_is_printed(tmp_path):
    own = mixed(tmp_path)
    rows = [
        published_row(inference_ms="0.001", compile_s="1e18", loss="-1e18"),
        published_row(framework="B", inference_ms="1e9", compile_s="1e-300", loss="1e-300"),
    ]
    odd = write_rows(tmp_path / "odd.csv", *rows)
    assert len(table_lines(details(tmp_path, own, [odd]), "\n## Tiny\n")) == 6
    assert Outline(render(tmp_path, own, [odd]).read_text(encoding="utf-8")).table("Tiny: who is first")


def test_random_fields_are_taken_or_refused_with_their_place(tmp_path):
    """Never a traceback, and what is taken can be shown."""
    rng = np.random.default_rng(2)
    texts = [
        "",
        "0",
        "-1",
        "1e18",
        "1e999",
        "0.001",
        "∞",
        "true",
        "pass",
        "=1+1",
        "\u202e",
        "'",
        "9999-01-01",
        "a\nb",
    ]
    names = [
        *ours(),
        "inference_first",
        "inference_to_best",
        "inference_low_ms",
        "decode_ms",
        "packages",
        "rounds",
    ]
    own, taken = mixed(tmp_path), 0
    for _ in range(200):
        row = ours() | {names[n]: texts[rng.integers(len(texts))] for n in rng.integers(len(names), size=2)}
        path = write_rows(tmp_path / "random.csv", row)
        try:
            intake.published([path], gate=submitted.GATE)
        except ValueError as error:
            assert str(error).startswith(f"{path}:"), error
        else:
            taken += 1
            if taken < 8:
                page(tmp_path, own, [path])
                render(tmp_path, own, [path])
    assert taken > 8


# The folder


def test_the_folder_s_tables_and_submissions(tmp_path):
    for name in ("b.csv", "a.csv", "c.jsonl", "README.md", ".d.csv", "e.json"):
        (tmp_path / name).write_text("{}")
    found = listing.of(tmp_path)
    assert [[path.name for path in paths] for paths in found] == [["a.csv", "b.csv"], ["c.jsonl"]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda here: (here / "a{b}.csv").touch(),
            r"a\{b\}\.csv: expected a name of up to 100 letters.*rename it",
        ),
        (
            lambda here: (here / "a.csv").symlink_to("gone"),
            r"a\.csv: a link to nothing \(gone\); put the file there",
        ),
        (lambda here: (here / "a.csv").mkdir(), r"a\.csv: a directory; expected a file, or another name"),
        (lambda here: (here / "a.jsonl").mkdir(), r"a\.jsonl: a directory"),
        (
            lambda here: [(here / f"a{end}").touch() for end in (".csv", ".jsonl")],
            r"a\.csv: its records are beside it",
        ),
        (
            lambda here: [(here / f"a{end}").write_text("{}") for end in (".csv", ".json")],
            r"a\.json: key table_sha256: 'None', yet a\.csv has [0-9a-f]{64}; send both of one run",
        ),
        (
            lambda here: [(here / f"a{end}").write_text("[" * 100_000) for end in (".csv", ".json")],
            r"a\.json: objects and lists nested more than 24 deep",
        ),
    ],
)
def test_what_cannot_lie_there_is_named_in_a_line(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(ValueError, match=words) as refused:
        listing.of(tmp_path)
    assert "\n" not in str(refused.value)


def test_the_project_s_own_folder_is_taken():
    tables_, submissions = listing.of(PUBLISHED[0].parent)
    assert tables_ == PUBLISHED and [path.name for path in submissions] == ["nvidia-h200.jsonl"]


# Spreadsheets


@pytest.mark.parametrize(
    "text", ["=1+1", "+x", "-x", "@x", "\tx", "'=1", "'x", "''", "'", "x", "", "a=b", "-5", "1e-3"]
)
def test_no_text_is_a_formula_and_every_text_comes_back(text):
    written = fields.guarded(text)
    assert not written.startswith(fields.FORMULA) or fields.NUMBER.fullmatch(text)
    assert fields.unguarded(written) == text
    plain = text in ("'x", "''", "'", "x", "", "a=b", "-5", "1e-3")
    assert written == (text if plain else f"'{text}")


def test_the_arena_s_own_csv_holds_no_formula(tmp_path):
    rounds = [*good("eager", backend="=HYPERLINK(1)", version="-2", device="@x"), *good("onnx")]
    path = own_csv(
        tmp_path, rounds, [submitted.verdict("eager"), submitted.verdict("onnx")], ("eager", "onnx")
    )
    with open(path, newline="", encoding="utf-8") as stream:
        (row, _) = csv.DictReader(stream)
    assert (row["backend"], row["version"], row["device"]) == ("'=HYPERLINK(1)", "-2", "'@x")
    assert float(row["loss_change"]) < 0
    found = tables.read([path], OWN_STATUSES)[0]
    assert (found["backend"], found["version"], found["device"]) == ("=HYPERLINK(1)", "-2", "@x")


def test_today_may_be_ahead_of_this_clock_by_a_day():
    row = published_row() | {"date": "2026-11-29"}
    row |= dict.fromkeys(("compile_s", "inference_ms", "latency_ms", "training_ms", "loss"))
    assert not list(claims.faults([row], today=datetime.date(2026, 11, 28)))
    assert list(claims.faults([row], today=datetime.date(2026, 11, 27)))
    assert PUBLISHED_STATUSES[-1] == "match"
