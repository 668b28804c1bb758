"""Time ONNX Runtime Web as its documentation calls it: a session and a loop around ``session.run``, in Node.js.

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the ONNX Runtime Web row, whose Node.js it
starts with ``onnxruntime_web_loop.mjs``; ``--packages`` is the folder in which the engine's packages are installed.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import looping

HERE = Path(__file__).resolve().parent


def main() -> None:
    args = looping.arguments(__doc__, "graph", "packages")
    sys.path.insert(0, str(HERE.parents[1] / "scripts"))
    node, _ = importlib.import_module("build_javascript").tools()  # the same Node.js as the row's
    words = [args.packages, args.graph, args.inputs, args.threads, args.seconds, looping.WARMUP]
    script = HERE / "onnxruntime_web_loop.mjs"
    os.execv(node, [str(word) for word in (node, script, *words)])


if __name__ == "__main__":
    main()
