"""Compute what every framework is held to: outputs, loss and gradients in float64 on the CPU.

Of a model that generates also the greedy continuation of its prompt. Beside it stands the noise floor: how
far plain float32 PyTorch, run eagerly, is from that reference. With --record-failure, a reference that cannot be
computed, or whose process dies, costs the model's verdicts and not the run: the files then hold no tensors and the
summary says why. A full or broken disk is an error: nothing is recorded then.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from arena import environment

if __name__ == "__main__":
    environment.enter()

from arena import files, redaction, storage, tensors
from arena.measuring import watchdog
from arena.weights import unmade

HERE = "--in-this-process"


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    try:
        if reason := unmade.reason(options.config):
            leave(options, reason)
        elif options.in_this_process:
            attempt(options)
        elif options.record_failure:
            supervise(options)
        else:
            compute(options)
    except OSError as error:
        if not storage.fault(error, options.summary.parent, Path(tempfile.gettempdir())):
            raise
        print(f"compute_reference.py: {storage.failed(options.summary, error)}", file=sys.stderr)
        sys.exit(storage.EXIT)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", required=True, help="read: model.safetensors")
    parser.add_argument("--config", required=True, type=Path, help="read: config.json")
    parser.add_argument("--inputs", required=True, help="read: inputs.safetensors")
    parser.add_argument("--loss", required=True, choices=["cross_entropy", "mse"])
    parser.add_argument(
        "--decode-tokens", type=int, default=0, help="to generate after decode.input_ids (default: none)"
    )
    parser.add_argument("--quality", action="store_true", help="predict the text of the inputs, too")
    parser.add_argument("--threads", required=True, type=int, help="of PyTorch's thread pool")
    parser.add_argument("--reference", required=True, help="written: outputs and loss, float64 (safetensors)")
    parser.add_argument("--gradients", required=True, help="written: gradients, float32 (safetensors)")
    parser.add_argument("--summary", required=True, type=Path, help="written: norms, noise, versions (JSON)")
    parser.add_argument(
        "--record-failure", action="store_true", help="where there is none, record why instead of failing"
    )
    parser.add_argument(HERE, action="store_true", help="do that here, not in a process of its own")
    return parser.parse_args(argv)


def supervise(options: argparse.Namespace) -> None:
    """``attempt`` in a process of its own, with this one's arguments. Ends this process where that one cannot write."""
    for path in map(Path, (options.reference, options.gradients, options.summary)):
        path.unlink(missing_ok=True)
    status = watchdog.run([sys.executable, __file__, *sys.argv[1:], HERE], environment.passed())
    if status == storage.EXIT or storage.over_limit(status):
        sys.exit(storage.EXIT)
    if status:
        if why := storage.writable(options.summary.parent):
            raise storage.failed(options.summary, why)
        end = f"signal {-status}" if status < 0 else f"exit status {status}"
        leave(options, unmade.no_reference(f"the process that computes it ended with {end}"))


def attempt(options: argparse.Namespace) -> None:
    """``compute``, or why not. Raises OSError where a disk is full or broken."""
    try:
        compute(options)
    except Exception as error:
        traceback.print_exc()
        if storage.fault(error, options.summary.parent, Path(tempfile.gettempdir())):
            raise storage.failed(options.summary, error) from error
        leave(options, unmade.no_reference(unmade.told(error)))


def leave(options: argparse.Namespace, reason: dict[str, str]) -> None:
    """Write what stands in the place of a reference that there is none of (arena/weights/unmade.py)."""
    for path in (options.reference, options.gradients):
        tensors.save(path, {})
    reason = redaction.Redactor().value(reason)
    files.write_json(options.summary, unmade.config(reason))
    print(f"no reference: {reason['detail']}", file=sys.stderr)


def compute(options: argparse.Namespace) -> None:
    """Write the reference. Raises DefinitionError, ArithmeticError where the model's definition is at fault."""
    import numpy as np
    import torch

    from frameworks.pytorch import reference

    torch.set_num_threads(options.threads)
    config = files.read_json(options.config)
    weights, inputs = tensors.load(options.weights), tensors.load(options.inputs)
    double = reference.run(
        config, weights, inputs, options.loss, torch.float64, options.decode_tokens or None
    )
    norms = {name: float(np.linalg.norm(gradient)) for name, gradient in double.gradients.items()}
    gradients = {}
    for name in norms:  # one at a time, so that float64 gradients make room for what follows
        gradients[name] = double.gradients.pop(name).astype(np.float32)
    reference.check_finite(double, norms)
    continuation = double.generated.tokens if double.generated else None
    single = reference.run(config, weights, inputs, options.loss, torch.float32, continuation)

    outputs = {"inference.output": double.inference, "latency.output": double.latency}
    outputs["loss"] = np.array(double.loss)
    if double.generated:
        outputs |= {"decode.tokens": double.generated.tokens, "decode.margins": double.generated.margins()}
    if options.quality:
        text = reference.predictions(config, weights, inputs)
        outputs |= {f"quality.{name}": array for name, array in text.items()}
    tensors.save(options.reference, outputs)
    tensors.save(options.gradients, gradients)
    summary = {
        "gradient_norms": norms,
        "noise": reference.noise(single, double, gradients, norms, options.loss),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    files.write_json(options.summary, summary)
    figures = summary["noise"]
    reference.log(f"float32 PyTorch: relative L2 {figures['inference']['relative_l2']:.2e}")


if __name__ == "__main__":
    main()
