"""Machines by name, maker and likeness, as far as a platform CSV tells."""

from __future__ import annotations

import re
from collections import Counter

from reporting.columns import Row
from reporting.markdown import one_line

Key = tuple[str | None, str, str]  # (who measured it, None for this run; platform_id; platform)

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


def key(row: Row, own: bool) -> Key:
    """What tells one machine from another; two of one name from two sources are two machines."""
    return (None if own else row.get("measured_by") or "", row.get("platform_id") or "", row["platform"])


def labels(keys: list[Key]) -> dict[Key, str]:
    """A name for each machine; where several share theirs, with what tells them apart."""
    names = {each: one_line(each[-1]) for each in keys}
    counts = Counter(names.values())
    result = {}
    for each, name in names.items():
        origin = "this run" if each[0] is None else each[0] or "source not named"
        apart = ", ".join(filter(None, (one_line(each[1]), one_line(origin))))
        result[each] = f"{name} ({apart})" if counts[name] > 1 else name
    return result


def maker(name: str) -> str | None:
    """Who made what a platform is named after, or None."""
    return next((who for who, words in MAKERS.items() if re.search(words, name, re.IGNORECASE)), None)


def kind(name: str) -> str:
    """A processor's name without clock rate, trademarks and filler: equal for like hardware.

    ``Intel(R) Xeon(R) Processor @ 2.50GHz`` and ``Intel Xeon @ 2.10GHz`` are both ``intel xeon``.
    """
    return " ".join(FILLER.sub(" ", one_line(name)).lower().split())
