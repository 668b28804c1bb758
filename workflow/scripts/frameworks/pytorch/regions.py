"""The parts of a module that occur again and again: compiled by themselves, they are compiled once."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

#: Of one region's shapes, devices and modes; the default of 8 is less than ResNet's stages, tasks and modes are.
VARIANTS = 64


def repeated(module: nn.Module) -> list[nn.Module]:
    """The submodules whose class occurs more than once in ``module``, and never inside another such one.

    So a decoder's layers and not their norms, of which one more stands after the last layer. PyTorch's own classes
    are no candidates.
    """
    counts = Counter(type(part) for part in module.modules())
    again = {kind for kind, count in counts.items() if count > 1 and not kind.__module__.startswith("torch.")}
    found = [part for part in module.modules() if type(part) in again]
    within = {type(inner) for part in found for inner in part.modules() if inner is not part}
    return [part for part in found if type(part) not in within]


def compile_regions(module: nn.Module) -> None:
    """Compile every repeated part of ``module`` in place; what lies between them stays eager.

    Parts of equal class and shapes share what is compiled. Raises ValueError where nothing is repeated.
    """
    parts = repeated(module)
    if not parts:
        raise ValueError(
            f"{type(module).__name__} has no part that occurs more than once; compile it as a whole"
        )
    torch._dynamo.config.recompile_limit = max(VARIANTS, torch._dynamo.config.recompile_limit)
    for part in parts:
        part.compile(fullgraph=True, dynamic=False)
