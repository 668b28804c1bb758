"""What NVIDIA's driver tells of a GPU, through its management library NVML: clocks, power, memory, processes.

The library comes with the driver, so this binding needs no package; without an NVIDIA driver, ``open_gpu``
says None. Functions and structures are those of nvml.h (NVML API reference, docs.nvidia.com/deploy/nvml-api);
what a card or a driver does not support is None here, never an error.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_uint, c_ulonglong, c_void_p
from functools import cache
from typing import Any

LIBRARIES = ("libnvidia-ml.so.1", "nvml.dll")
SUCCESS = 0
INSUFFICIENT_SIZE = 7
SM_CLOCK, MEMORY_CLOCK = 1, 2  # nvmlClockType_t
GPU_TEMPERATURE = 0  # nvmlTemperatureSensors_t
UNKNOWN_BYTES = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE

# nvmlClocksThrottleReason*: why the clock is not higher.
REASONS = {
    0x001: "idle",
    0x002: "clock set",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "thermal, software",
    0x040: "thermal, hardware",
    0x080: "power brake",
    0x100: "display clock",
}


class _Memory(ctypes.Structure):
    """nvmlMemory_t"""

    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class _Process(ctypes.Structure):
    """nvmlProcessInfo_t, second version"""

    _fields_ = (
        ("pid", c_uint),
        ("used", c_ulonglong),
        ("gpu_instance", c_uint),
        ("compute_instance", c_uint),
    )


class Gpu:
    """One GPU. Every method asks the driver anew."""

    def __init__(self, library: ctypes.CDLL, handle: c_void_p, index: int):
        self._library, self._handle, self.index = library, handle, index

    def facts(self) -> dict[str, Any]:
        """What does not change: name, number, UUID, driver, memory (bytes), power limit (W), top SM clock (MHz)."""
        memory, limit = self.memory(), self._number("nvmlDeviceGetEnforcedPowerLimit", c_uint)
        version = ctypes.c_int()
        known = self._call("nvmlSystemGetCudaDriverVersion_v2", byref(version))
        return {
            "name": self._text("nvmlDeviceGetName"),
            "index": self.index,
            "uuid": self._text("nvmlDeviceGetUUID"),
            "driver": self._text("nvmlSystemGetDriverVersion", device=False),
            "cuda_driver": cuda_version(version.value) if known else None,
            "memory_bytes": memory and memory["total"],
            "power_limit_w": None if limit is None else limit / 1000,
            "max_sm_mhz": self._number("nvmlDeviceGetMaxClockInfo", c_uint, SM_CLOCK),
        }

    def snapshot(self) -> dict[str, Any]:
        """The state now: clocks (MHz), power (W), temperature (°C), throttle reasons, bytes in use."""
        power, memory = self._number("nvmlDeviceGetPowerUsage", c_uint), self.memory()
        return {
            "sm_mhz": self._number("nvmlDeviceGetClockInfo", c_uint, SM_CLOCK),
            "memory_mhz": self._number("nvmlDeviceGetClockInfo", c_uint, MEMORY_CLOCK),
            "power_w": None if power is None else power / 1000,
            "celsius": self._number("nvmlDeviceGetTemperature", c_uint, GPU_TEMPERATURE),
            "throttle": self.throttle(),
            "used_bytes": memory and memory["used"],
        }

    def throttle(self) -> list[str] | None:
        """What keeps the clock from rising, in words; bits unknown here in hexadecimal."""
        bits = self._number("nvmlDeviceGetCurrentClocksThrottleReasons", c_ulonglong)
        if bits is None:
            return None
        unknown = bits & ~sum(REASONS)
        return [words for bit, words in REASONS.items() if bits & bit] + [hex(unknown)] * bool(unknown)

    def memory(self) -> dict[str, int] | None:
        """Bytes of the card's memory: ``total`` and ``used``, by whomever."""
        found = _Memory()
        if not self._call("nvmlDeviceGetMemoryInfo", self._handle, byref(found)):
            return None
        return {"total": found.total, "used": found.used}

    def energy_mj(self) -> int | None:
        """Millijoules since the driver was loaded, by a counter that steps every 20 to 100 ms."""
        return self._number("nvmlDeviceGetTotalEnergyConsumption", c_ulonglong)

    def processes(self) -> dict[int, int | None]:
        """Bytes held by each process that computes on the card, by its id; None where the driver cannot say.

        A container sees the ids of its own processes at best: where it sees none of them, the list is empty
        or holds ids of the host.
        """
        count = c_uint(0)
        status = self._status("nvmlDeviceGetComputeRunningProcesses_v3", self._handle, byref(count), None)
        if status not in (SUCCESS, INSUFFICIENT_SIZE) or not count.value:
            return {}
        count.value += 8  # some may start meanwhile
        found = (_Process * count.value)()
        if not self._call("nvmlDeviceGetComputeRunningProcesses_v3", self._handle, byref(count), found):
            return {}
        return {each.pid: None if each.used == UNKNOWN_BYTES else each.used for each in found[: count.value]}

    def _number(self, function: str, kind: type, *arguments: int) -> int | None:
        value = kind()
        done = self._call(function, self._handle, *map(c_uint, arguments), byref(value))
        return value.value if done else None

    def _text(self, function: str, device: bool = True) -> str | None:
        buffer = ctypes.create_string_buffer(96)
        done = self._call(function, *[self._handle] * device, buffer, c_uint(len(buffer)))
        return buffer.value.decode(errors="replace") if done else None

    def _call(self, function: str, *arguments: Any) -> bool:
        return self._status(function, *arguments) == SUCCESS

    def _status(self, function: str, *arguments: Any) -> int | None:
        """NVML's answer; None where this driver has no such function."""
        try:
            return int(getattr(self._library, function)(*arguments))
        except AttributeError:
            return None


def cuda_version(number: int) -> str:
    """CUDA's version as people write it, from CUDA's own number: ``13.0`` for 13000, ``12.9`` for 12090."""
    return f"{number // 1000}.{number % 1000 // 10}"


@cache
def open_gpu(visible: str | None = None) -> Gpu | None:
    """The GPU that CUDA calls device 0, or None where there is no NVIDIA driver or no such card.

    ``visible`` is the value of ``CUDA_VISIBLE_DEVICES``, by default this process's: its first entry, a number
    or the beginning of a UUID. NVML counts by PCI bus, as CUDA does where ``CUDA_DEVICE_ORDER`` is
    ``PCI_BUS_ID``.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    library = _library()
    if library is None or library.nvmlInit_v2() != SUCCESS:
        return None
    first = (visible or "0").split(",")[0].strip()
    count = c_uint()
    library.nvmlDeviceGetCount_v2(byref(count))
    for index in range(count.value):
        handle = c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(c_uint(index), byref(handle)) != SUCCESS:
            continue
        gpu = Gpu(library, handle, index)
        if first == str(index) or (not first.isdigit() and (gpu.facts()["uuid"] or "").startswith(first)):
            return gpu
    return None


def _library() -> ctypes.CDLL | None:
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:  # no NVIDIA driver, or another operating system's name
            continue
    return None
