"""What a GPU can do at most, by its maker's word: dense matrix products, in TFLOP/s (10^12 operations/s).

Sources: "NVIDIA H100 Tensor Core GPU Architecture", version 1.04 (SXM5 and PCIe), and the data sheet "NVIDIA
H200 Tensor Core GPU", which has the same arithmetic; where the maker prints figures for sparse matrices, half
of them. float32 is the peak of the CUDA cores: exact float32 products do not run on the tensor cores.
"""

from __future__ import annotations

_SXM = {"float32": 66.9, "tf32": 494.7, "bfloat16": 989.4, "float16": 989.4, "int8": 1978.9}
_PCIE = {"float32": 51.2, "tf32": 378.0, "bfloat16": 756.0, "float16": 756.0, "int8": 1513.0}

#: By the name that the driver gives.
PEAKS = {"NVIDIA H100 80GB HBM3": _SXM, "NVIDIA H100 PCIe": _PCIE, "NVIDIA H200": _SXM}


def peak(name: str | None, lane: str) -> float | None:
    """The peak of this GPU in this lane; None where it is not known here."""
    return PEAKS.get(name or "", {}).get(lane)
