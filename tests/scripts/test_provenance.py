"""The account of how a platform's figures came about."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

import provenance
import records
from arena import files
from arena.contract import codec
from arena.contract.round import Gpu, GpuWatch
from reporting import tables
from reporting.columns import OWN_STATUSES

PUBLISHED = Path(__file__).parents[2] / "report" / "published"


def test_it_tells_machine_versions_and_every_round(tmp_path, monkeypatch):
    card = codec.encode(Gpu(name="NVIDIA Fake", driver="580.1"))
    watch = codec.encode(GpuWatch(looks=3, power_w=[70.0, 300.0, 310.0], throttle={}, others={}))
    made = [records.round_record("eager", 2), records.round_record("eager", 1)]
    for record in made:
        record["machine"] |= {"gpu": card, "hostname": "secret"}
        record["conditions"]["during"] = {"gpu": watch}
    made.append(records.failed("jax", 1, code="wrong-device", packages={}))
    made[2]["machine"] |= {"gpu": card, "hostname": "secret"}
    rounds, _, _ = records.write(tmp_path, made, [])
    table, out = tmp_path / "gpu.csv", tmp_path / "gpu.json"
    table.write_text("platform\n")
    account, parts = (
        tmp_path / "allocations.json",
        [{"id": "a1", "cards": [card]}, {"id": "a2", "cards": [card]}],
    )
    files.write_json(account, {"schema": 1, "allocations": parts})
    words = ["--table", table, "--rounds", *rounds, "--command", "snakemake --cores 16", "--out", out]
    words += ["--allocations", account]
    monkeypatch.setattr(sys, "argv", ["provenance", *map(str, words)])
    provenance.main()
    text = out.read_text(encoding="utf-8")
    found = json.loads(text)
    assert "secret" not in text
    assert found["table_sha256"] == "5087250a6ab1d3397e7f6e4b2d3bacd0b3f9c3b4e55544a8519cca17dea208d1"
    assert found["command"] == "snakemake --cores 16" and found["commits"] == ["abc123"]
    assert found["began"] < found["last_round_began"]
    assert [machine["gpu"] for machine in found["machines"]] == [card]
    assert found["packages"] == {"pytorch": [{"torch": "2.13.0", "numpy": "2.4.6"}], "jax": []}
    assert found["allocations"] == parts
    lines = {(line["row"], line["round"]): line for line in found["rounds"]}
    assert len(lines) == 3 and lines["jax", 1]["reason"] == "wrong-device"
    assert lines["eager", 2]["gpu"] == {"before": None, "during": watch, "after": None}


@pytest.mark.parametrize("account", sorted(PUBLISHED.glob("*.json")), ids=lambda path: path.stem)
def test_a_published_account_belongs_to_the_table_beside_it(account):
    told, table = json.loads(account.read_text(encoding="utf-8")), account.with_suffix(".csv")
    assert told["table_sha256"] == files.sha256(table)
    rows = tables.read([table], OWN_STATUSES)
    assert {row["commit"] for row in rows} == set(told["commits"])
    measured = {(row["model"], row["row"]): row["rounds"] for row in rows}
    assert Counter((line["model"], line["row"]) for line in told["rounds"]) == measured
    devices = {row["device"] for row in rows if row["status"] != "unsupported"}  # such a row reached none
    assert devices == {machine["gpu"]["name"] for machine in told["machines"]}


def test_it_refuses_what_is_no_round(tmp_path, monkeypatch):
    for name in ("gpu.csv", "round-1.json"):
        (tmp_path / name).write_text("{}")
    words = ["--table", tmp_path / "gpu.csv", "--rounds", tmp_path / "round-1.json"]
    words += ["--command", "", "--out", tmp_path / "out.json"]
    monkeypatch.setattr(sys, "argv", ["provenance", *map(str, words)])
    with pytest.raises(SystemExit, match=r"round-1\.json: schema: missing"):
        provenance.main()
    assert not (tmp_path / "out.json").exists()
