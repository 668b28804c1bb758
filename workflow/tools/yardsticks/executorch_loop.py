"""Time ExecuTorch as its documentation calls it from Python: a program's method, and a loop around ``execute``.

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the ExecuTorch row.
"""

from __future__ import annotations

import looping
from executorch.extension.pybindings import portable_lib
from executorch.runtime import Runtime
from safetensors.torch import load_file

PREFIX = "inference."


def main() -> None:
    args = looping.arguments(__doc__, "program")

    portable_lib._unsafe_reset_threadpool(args.threads)
    method = Runtime.get().load_program(args.program).load_method("inference")
    inputs = [array for name, array in load_file(args.inputs).items() if name.startswith(PREFIX)]
    looping.print_durations(lambda: method.execute(inputs), args.seconds)


if __name__ == "__main__":
    main()
