"""Which faults are a disk's, and which a framework's."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from arena import files, storage, tensors
from small_disk import small_disk

HERE = Path("/results/cell")


def of(number, name=None):
    return OSError(number, os.strerror(number), *([name] if name else []))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((of(number, "/results/cell/cache/x"), True) for number in (*storage.FULL, *storage.BROKEN)),
        (of(errno.ENOSPC), True),  # who knows where
        (of(errno.ENOSPC, "/dev/shm/sem"), False),
        (of(errno.EROFS, "/home/x/.cache"), False),
        (of(errno.EIO), False),  # of a device, perhaps
        (of(errno.ENOENT, "/results/cell/x"), False),
        (RuntimeError("write failed: No space left on device"), True),
        (RuntimeError("Disk quota exceeded"), True),
        (RuntimeError("ENOSPC: no space left on device, write"), True),  # as Node.js has it
        (RuntimeError("rustc: signal: 25, SIGXFSZ: file size limit exceeded"), True),
        (of(errno.EFBIG, "/results/cell/outputs"), True),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device")]), True),
        (shutil.Error([("a", "b", "[Errno 13] Permission denied")]), False),
        (RuntimeError("Input/output error"), False),
        (ValueError("no such tensor"), False),
        (storage.StorageError("x"), True),
    ],
)
def test_a_fault_is_the_disk_s_or_the_framework_s(error, expected):
    assert storage.fault(error, HERE) is expected


def test_a_cause_counts_however_deep_it_lies():
    try:
        try:
            raise of(errno.ENOSPC, "/results/cell/cache/x")
        except OSError as cause:
            raise RuntimeError("the compiler failed") from cause
    except RuntimeError as error:
        assert storage.fault(error, HERE)
        error.__cause__.__context__ = error  # a ring
        assert storage.fault(error, HERE)


def test_the_message_names_the_file_and_what_to_do():
    error = storage.failed("/x/y.json", of(errno.EDQUOT))
    assert str(error).startswith("/x/y.json: Disk quota exceeded. Nothing is recorded: make room")
    assert storage.failed("/other", error) is error


@pytest.mark.linux
def test_a_small_disk_is_told_as_such_by_every_way_of_writing(tmp_path):
    with small_disk(tmp_path, megabytes=2) as folder:
        assert storage.writable(folder) is None
        with pytest.raises(storage.StorageError, match="No space left on device"):
            tensors.save(folder / "t.safetensors", {"w": np.ones(1_000_000, np.float32)})
        with pytest.raises(OSError, match="No space left on device") as raised:
            files.write_text(folder / "t.txt", "x" * 4_000_000)
        assert storage.fault(raised.value, folder)
        assert list(folder.iterdir()) == []  # half a file stays nowhere
        (folder / "most").write_bytes(b"x" * 1_500_000)
        assert storage.writable(folder).errno == errno.ENOSPC
        assert [path.name for path in folder.iterdir()] == ["most"]
