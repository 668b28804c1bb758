"""When a disk is full, or gone: that is no framework's failure, so nothing is recorded and the job fails.

A measuring process, an exporter and an engine end with ``EXIT`` then; whoever started them ends likewise.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

EXIT = 74  # EX_IOERR of sysexits.h; workflow/engines/arena/src/run.rs has the same

#: EFBIG: a shell's `ulimit -f`, or a file system's own limit.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Of a device that fails, is read-only or gone. A framework may meet them elsewhere than where the arena writes.
BROKEN = (errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ENODEV)
#: Libraries that are no Python tell it in words alone, and not all with a capital letter.
WORDS = (*(os.strerror(number).lower() for number in FULL), "sigxfsz")
OS_ERROR = re.compile(r"\(os error \d+\)")  # as Rust's libraries write an error of the system
PROBE_BYTES = 1 << 20


class StorageError(OSError):
    """What the arena wanted to write or read cannot be; the message says where, and what to do."""


def failed(path: str | os.PathLike[str], error: BaseException) -> StorageError:
    """The error to raise where a file of the arena's own cannot be written or read."""
    if isinstance(error, StorageError):
        return error
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StorageError(f"{path}: {why}. Nothing is recorded: make room or mend the disk, then run again")


def fault(error: BaseException, *places: Path) -> bool:
    """Whether an exception comes of a full disk, or of a broken one below ``places``.

    A framework that finds another file system read-only, or another one full, fails by itself.
    """
    return any(_of_storage(each, places) for each in _chain(error))


def told(text: str) -> bool:
    """Whether a program's words say that a disk is full."""
    return any(words in text.lower() for words in WORDS)


def over_limit(status: int) -> bool:
    """Whether a process ended for a file that was larger than `ulimit -f` allows."""
    return status == -signal.SIGXFSZ


def system_error(error: Exception) -> bool:
    """Whether a library of Rust's tells an error of the system: of a file that it cannot write."""
    return OS_ERROR.search(str(error)) is not None


def writable(folder: Path) -> OSError | None:
    """Why no further megabyte can be written to ``folder``; None if it can."""
    probe = folder / ".probe"
    try:
        with open(probe, "wb") as stream:
            stream.write(b"\0" * PROBE_BYTES)
            stream.flush()
            os.fsync(stream.fileno())
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
        return error
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]


def _of_storage(error: BaseException, places: tuple[Path, ...]) -> bool:
    if isinstance(error, StorageError):
        return True
    if (
        not isinstance(error, OSError) or error.errno is None
    ):  # shutil's Error is one, with what it met in its words
        return told(str(error))
    name = error.filename
    ours = isinstance(name, str | os.PathLike) and any(_below(Path(name), place) for place in places)
    if error.errno in FULL:
        return ours or name is None
    return error.errno in BROKEN and ours


def _below(path: Path, place: Path) -> bool:
    return path.absolute().is_relative_to(place.absolute())
