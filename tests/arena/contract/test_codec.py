"""The records' codec: what it refuses, and by which path and words."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from arena.contract import codec
from arena.contract.codec import ContractError, Count, Later


@dataclass(frozen=True, kw_only=True)
class Inner:
    """In a record."""

    kind: Annotated[Literal["a", "b"], "One of two"]
    counts: Annotated[list[Count] | None, "Counts"] = None

    def __post_init__(self) -> None:
        if self.kind == "b" and self.counts is None:
            raise ContractError("counts: null, though the kind is b")


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A record with every type that there is."""

    text: Annotated[str, "Text"]
    whole: Annotated[int, "A whole number"]
    real: Annotated[float, "A number"]
    flag: Annotated[bool, "Yes or no"]
    path: Annotated[Path, "A file"]
    inner: Annotated[Inner, "A record"]
    several: Annotated[list[Inner], "Records"]
    by_name: Annotated[dict[Literal["x", "y"], Inner], "Records by name"]
    free: Annotated[dict[str, Any], "Anything"]


RECORD = Outer(
    text="ü",
    whole=-3,
    real=0.5,
    flag=True,
    path=Path("a/b"),
    inner=Inner(kind="a"),
    several=[Inner(kind="b", counts=[1, 2])],
    by_name={"x": Inner(kind="b", counts=[])},
    free={"deep": [1, {"k": None}], "f": 0.25},
)


def test_what_is_written_is_read(tmp_path):
    codec.write(tmp_path / "record.json", RECORD)
    assert codec.read(Outer, tmp_path / "record.json") == RECORD
    assert codec.from_text(Outer, codec.to_text(RECORD)) == RECORD


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.pop("text"), "text: missing"),
        (lambda r: r["inner"].pop("counts"), "inner.counts: missing"),  # though Python has a default
        (lambda r: r.update(more=1), "more: unknown; expected only text, whole, real"),
        (lambda r: r["several"][0].update(x=1), "several[0].x: unknown; expected only kind, counts"),
        (lambda r: r.update(text=1), "text: expected str, got int"),
        (lambda r: r.update(text=None), "text: expected str, got null"),
        (lambda r: r.update(whole=1.0), "whole: expected int, got float"),
        (lambda r: r.update(whole=True), "whole: expected int, got bool"),
        (lambda r: r.update(real="1"), "real: expected float, got str"),
        (lambda r: r.update(real=True), "real: expected float, got bool"),
        (lambda r: r.update(real=float("nan")), "real: expected a finite number, got nan"),
        (lambda r: r.update(flag=1), "flag: expected bool, got int"),
        (lambda r: r.update(path=["a"]), "path: expected str, got list"),
        (lambda r: r.update(inner=[]), "inner: expected object, got list"),
        (lambda r: r.update(several={}), "several: expected list, got object"),
        (lambda r: r["inner"].update(kind="c"), "inner.kind: expected 'a' or 'b', got 'c'"),
        (lambda r: r["inner"].update(kind="b"), "inner.counts: null, though the kind is b"),
        (lambda r: r["several"][0].update(counts=[1, "2"]), "several[0].counts[1]: expected int, got str"),
        (
            lambda r: r["several"][0].update(counts=[1, -2]),
            "several[0].counts[1]: expected at least 0, got -2",
        ),
        (lambda r: r["several"][0].update(counts=[1, True]), "several[0].counts[1]: expected int, got bool"),
        (lambda r: r["by_name"]["x"].update(kind=1), "by_name.x.kind: expected 'a' or 'b', got 1"),
        (lambda r: r["by_name"].update(z={}), "by_name.z: expected 'x' or 'y', got 'z'"),
        (lambda r: r["free"]["deep"].append(float("inf")), "free.deep[2]: expected a finite number, got inf"),
        (lambda r: r["free"].update(f={1}), "free.f: expected JSON, got set"),
    ],
)
def test_what_is_no_record_is_refused_by_its_key(change, says):
    values = codec.encode(RECORD) | {"free": {"deep": [1, {"k": None}], "f": 0.25}}
    values["several"] = [dict(each) for each in values["several"]]
    change(values)
    with pytest.raises(ContractError) as refused:
        codec.decode(Outer, values)
    assert str(refused.value).startswith(says)


class Version(str):
    """As PyTorch has one: text, and more."""


def test_kinds_of_text_and_numbers_are_written_as_such():
    found = codec.encode(replace(RECORD, text=Version("2.13.0"), real=np.float64(0.25)))
    assert (found["text"], found["real"]) == ("2.13.0", 0.25)
    assert (type(found["text"]), type(found["real"])) == (str, float)
    with pytest.raises(ContractError, match="whole: expected int, got int64"):
        codec.to_text(replace(RECORD, whole=np.int64(3)))  # no JSON number, whatever it looks like


def test_a_file_is_named(tmp_path):
    path = tmp_path / "round-1.json"
    for text, says in (
        ("{", f"{path}: not a readable JSON file"),
        ('{"text": 3}', f"{path}: text: expected str"),
    ):
        path.write_text(text)
        with pytest.raises(ContractError) as refused:
            codec.read(Outer, path)
        assert str(refused.value).startswith(says)
    path.write_bytes(b"\xff{")
    with pytest.raises(ContractError, match="not a readable JSON file"):
        codec.read(Outer, path)


def test_nothing_is_written_that_could_not_be_read(tmp_path):
    wrong = Inner(kind="a", counts=[1, 2.5])
    with pytest.raises(ContractError, match=r"counts\[1\]: expected int, got float"):
        codec.write(tmp_path / "record.json", wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_built_of_what_is_known():
    assert codec.build(Inner, kind="a") == Inner(kind="a", counts=None)
    with pytest.raises(ContractError, match="kinds: unknown"):
        codec.build(Inner, kinds="a")


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A record with a key that it has not always had."""

    old: Annotated[int, "From the start"]
    new: Annotated[int | None, "Of late", Later()] = None


def test_a_key_that_was_added_later_may_be_missing_and_is_written():
    assert codec.from_text(Grown, '{"old": 1}') == Grown(old=1)
    assert codec.to_text(Grown(old=1)) == '{"old": 1, "new": null}'
    for text, says in (('{"new": 1}', "old: missing"), ('{"old": 1, "new": "x"}', "new: expected int")):
        with pytest.raises(ContractError, match=says):
            codec.from_text(Grown, text)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_half_a_character_is_no_text(text):
    for value in ({"text": text}, {"free": {"k": text}}, {"free": {text: 1}}):
        with pytest.raises(ContractError, match="expected text, got half a character") as refused:
            codec.decode(Outer, codec.encode(RECORD) | value)
        assert str(refused.value).encode()


def test_numbers_have_64_bits():
    whole = codec.encode(RECORD)
    assert codec.decode(Outer, whole | {"whole": 2**63 - 1}).whole == 2**63 - 1
    for value in ({"whole": 2**63}, {"real": -(10**400)}, {"inner": {"kind": "a", "counts": [1, 2**63]}}):
        with pytest.raises(ContractError, match="expected a number of 64 bits"):
            codec.decode(Outer, whole | value)
