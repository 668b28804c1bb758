"""What one ONNX file holds."""

from __future__ import annotations

from frameworks.errors import UnsupportedError
from frameworks.exporting import Export

PROTOBUF_LIMIT = 2_000_000_000  # bytes; a larger model needs its weights beside the graph


def refuse_large(task: Export) -> None:
    """Raise UnsupportedError if the weights are more than one ONNX file holds."""
    if task.reads["weights"].stat().st_size > PROTOBUF_LIMIT:
        raise UnsupportedError(
            "unsupported-model", "Its weights are over 2 GB, which one ONNX file cannot hold."
        )
