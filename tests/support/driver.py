"""The made-up NVIDIA driver of tests/support/fake_nvml.c."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")


def environment(folder: Path) -> dict[str, str]:
    """Build the library in ``folder``; the variables of a process that is to find it, with a card of its own."""
    command = ["cc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", SOURCE]
    subprocess.run(command, check=True, timeout=60)
    state = folder / "card.txt"
    state.write_text("used 1000\n")
    return {"LD_LIBRARY_PATH": str(folder), "ARENA_FAKE_NVML": str(state)}
