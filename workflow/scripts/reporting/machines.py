"""Machines by name, maker and likeness, as far as a platform CSV tells."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from reporting.columns import Row
from reporting.markdown import one_line

Key = tuple[str | None, str, str]  # (the file it stands in, None for this run; platform_id; platform)

MAKERS = {
    "NVIDIA": r"nvidia|geforce|rtx|tesla|quadro",
    "AMD": r"amd|radeon|ryzen|epyc|instinct",
    "Apple": r"apple",
    "Intel": r"intel|xeon|\barc\b",
}
FILLER = re.compile(
    r"\((r|tm)\)|®|™|\b(processor|cpu|gpu|graphics|with|integrated|\d+-core)\b|@.*$|\(windows\)",
    re.IGNORECASE,
)
CPU_ID = re.compile(r"\bfamily \d{1,5}, model \d{1,5}\b")

#: Letters of other scripts that look like Latin ones, and those.
LOOKALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеіјоѕрсухкмнтвΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαινρτυχκɑ|!ıł",
    "ABESIJKMHOPCTYXaeijospcyxkmhtbABEZHIKMNOPTYXoaivptuxkallil",
)

DIGITS = str.maketrans("01i", "oll")


def key(row: Row, own: bool) -> Key:
    """What tells one machine from another: the file first, so that no row joins another file's machine."""
    where = None if own else row.get("source") or row.get("measured_by") or ""
    return (where, row.get("platform_id") or "", row["platform"])


def named(rows: Iterable[tuple[Key, Row]]) -> dict[Key, str]:
    """A name for each machine of these rows; with more behind it where it tells one machine from no other.

    That is where the machine is called by its processor, and that has no model number: ``AMD EPYC (family 25,
    model 17), 2 cores, 25 GB``. Where cells ran on several nodes, cores and memory stand as ranges.
    """
    members: dict[Key, list[Row]] = {}
    for each, row in rows:
        members.setdefault(each, []).append(row)
    found = labels(list(members))
    return {each: found[each] + _size(members[each]) for each in members}


def _size(rows: list[Row]) -> str:
    """Family and model, cores and memory of a machine whose name has no number of its own; else nothing."""
    name = rows[0]["platform"]
    if not maker(name) or re.search(r"\d", kind(name)) or name not in {row.get("cpu") for row in rows}:
        return ""
    sizes = []
    models = sorted({each for row in rows for each in CPU_ID.findall(row.get("cpu_id") or "")})
    if models:
        sizes.append(f" ({'; '.join(models)})")
    for column, one, more in (("cores", " core", " cores"), ("memory_gb", " GB", " GB")):
        values = sorted({round(row[column]) for row in rows if row.get(column)})
        if values:
            ends = "–".join(f"{value:d}" for value in dict.fromkeys((values[0], values[-1])))  # noqa: RUF001
            sizes.append(f", {ends}{one if ends == '1' else more}")
    return "".join(sizes)


def labels(keys: list[Key]) -> dict[Key, str]:
    """A name for each machine; where several look alike, with what tells them apart.

    Names look alike that differ in case, spaces, the form of a letter, or a letter of another script.
    """
    names = {each: one_line(each[-1]) for each in keys}
    for _ in range(3):  # with what tells it apart, a name may look like a third one
        counts = Counter(map(_look, names.values()))
        if max(counts.values(), default=1) == 1:
            break
        names = {each: _apart(each) if counts[_look(name)] > 1 else name for each, name in names.items()}
    return names


def _apart(key: Key) -> str:
    origin = "this run" if key[0] is None else key[0] or "source not named"
    beside = ", ".join(filter(None, (one_line(key[1]), one_line(origin))))
    return f"{one_line(key[-1])} ({beside})"


def _look(name: str) -> str:
    """Equal for names that a reader takes for one."""
    plain = unicodedata.normalize("NFKC", name.translate(LOOKALIKES))
    return "".join(plain.translate(LOOKALIKES).casefold().translate(DIGITS).split())


def maker(name: str) -> str | None:
    """Who made what a platform is named after, or None."""
    return next((who for who, words in MAKERS.items() if re.search(words, name, re.IGNORECASE)), None)


def kind(name: str) -> str:
    """A processor's name without clock rate, trademarks and filler: equal for like hardware.

    ``Intel(R) Xeon(R) Processor @ 2.50GHz`` and ``Intel Xeon @ 2.10GHz`` are both ``intel xeon``.
    """
    return " ".join(FILLER.sub(" ", one_line(name)).lower().split())
