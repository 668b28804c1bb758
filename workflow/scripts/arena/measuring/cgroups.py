"""What Linux's control groups leave to this process: each group bounds what is below it, so all parents count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MOUNTED = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
#: Version 1 writes "no limit" as the largest number of whole pages.
UNLIMITED = 1 << 60


def cpus(mounted: Path = MOUNTED, own: Path = OWN) -> float | None:
    """Processors that the strictest CPU quota allows, 1.5 for example; None without a quota."""
    found = [quota for version, group in _groups("cpu", mounted, own) if (quota := _quota(version, group))]
    return min(found, default=None)


def memory(mounted: Path = MOUNTED, own: Path = OWN) -> list[tuple[int, int]]:
    """Of each group with a limit, its bytes and how many of them are free, from the innermost group outwards.

    Pages of files that are in no use are free: the kernel drops them before it kills anybody.
    """
    found = []
    for version, group in _groups("memory", mounted, own):
        names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}
        limit, used = (_number(group / name) for name in names[version])
        if limit is not None and limit < UNLIMITED:
            found.append((limit, limit - max(0, (used or 0) - _unused(group))))
    return found


def _groups(controller: str, mounted: Path, own: Path) -> Iterator[tuple[int, Path]]:
    """This process's groups of a controller and all their parents, with the version of their kind.

    In a container its own group may be the root that it sees, whatever /proc calls it: hence the root counts too.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            version, roots = 2, (mounted / "unified", mounted)
        elif controller in controllers.split(","):
            version, roots = 1, (mounted / controllers, mounted / controller)
        else:
            continue
        root = next((each for each in roots if each.is_dir()), None)
        if root is None:
            continue
        group = Path(path.lstrip("/"))
        if ".." in group.parts:  # outside what this container sees
            group = Path()
        for each in (group, *group.parents):
            if (root / each).is_dir():
                yield version, root / each


def _quota(version: int, group: Path) -> float | None:
    if version == 2:
        words = (_text(group / "cpu.max") or "max").split()
    else:
        words = [_text(group / name) or "" for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")]
    try:
        quota, period = map(float, words)
    except ValueError:  # "max 100000", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _unused(group: Path) -> int:
    """Bytes of file pages that nobody has used for a while."""
    lines = [line.split() for line in (_text(group / "memory.stat") or "").splitlines()]
    known = dict(line for line in lines if len(line) == 2)
    value = known.get(
        "total_inactive_file", known.get("inactive_file", "0")
    )  # version 1 has both: with its children
    return int(value) if value.isdigit() else 0


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text and text.isdigit() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
