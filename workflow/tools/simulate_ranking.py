"""How often the report's intervals hold the true value, and how often it tells equal rows apart: by simulation.

    .venv-tests/bin/python workflow/tools/simulate_ranking.py

Prints the table of docs/statistics.md. What is simulated are the medians of processes, on the scale of
logarithms, with truths that are known: every cell's true time is 1, but for one row that is slower.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import library  # noqa: F401
from reporting.intervals.model import Model, is_first

SPREAD = 0.01  # between processes, as a share of the time
SLOWER = 1.05  # of the row that is slower, to see that differences are found at all
FAR = 4.0  # the same for the row whose processes differ by WILD
WILD = 0.4
LEAST = 0.02  # report.least_difference
TARGET, MORE = 0.02, 3  # protocol.adaptive.target, and how many rounds are allowed beyond the planned ones
CASES = {
    "normal": "normal, every cell alike",
    "heavy": "heavy tails: Student's t with 3 degrees of freedom",
    "bad": "one process of 20 is 10 % slower",
    "drift": "each round moves the whole machine by 2 %",
    "unequal": "cells differ: from 0.4 to 2.7 % between processes (19 of 20)",
    "few": "normal, 2 models of 3 rows",
    "wild": "one cell has 40 % between processes; found is it, if four times slower",
    "adaptive": "cells differ as above, up to 3 rounds more where over 2 %",
    "parts": "measured in two parts, 5 % apart, that share one row of five",
}

Cell = tuple[int, int]  # model, row
Measured = dict[Hashable, float]  # log medians by round


@dataclass(frozen=True)
class Rates:
    """Shares of simulations, and the typical half-width of a time's interval."""

    time: float  # intervals of a time that hold the true one
    ratio: float  # intervals of the ratio of two equal rows that hold 1
    apart: float  # pairs of equal rows of which one loses the first place
    lost: float  # tables of equal rows in which at least one loses the first place
    lost_any: float  # the same if no difference were too small to matter
    found: float  # rows slower by SLOWER (``wild``: FAR) that lose the first place
    half: float  # median half-width, as a share of the time


def errors(case: str, cells: int, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Log medians of processes (cells, rounds) about the truth 0."""
    normal = SPREAD * rng.standard_normal((cells, rounds))
    if case == "heavy":
        return SPREAD * rng.standard_t(3, (cells, rounds)) / math.sqrt(3)
    if case == "bad":
        return normal + 0.1 * (rng.random((cells, rounds)) < 0.05)
    if case == "drift":
        return normal + 0.02 * rng.standard_normal(rounds)
    if case in ("unequal", "adaptive"):
        return normal * np.exp(0.5 * rng.standard_normal((cells, 1)))
    if case == "wild":
        normal[0] *= WILD / SPREAD
    return normal


def machine(case: str, keys: Sequence[Cell], rounds: int, rng: np.random.Generator) -> dict[Cell, Measured]:
    """What is measured of cells whose true time is 1: by cell, log medians by the name of the round."""
    if case == "parts":
        shifts = np.array([[-0.025], [0.025]]) + 0.005 * rng.standard_normal((2, rounds))
        return {
            key: {
                (part, number): shifts[part, number] + SPREAD * rng.standard_normal()
                for part in ((0, 1) if key[1] == 0 else (key[1] % 2,))
                for number in range(rounds)
            }
            for key in keys
        }
    drawn = errors(case, len(keys), rounds + (MORE if case == "adaptive" else 0), rng)
    counts = dict.fromkeys(keys, rounds)
    if case == "adaptive":
        first = modelled(
            {key: dict(enumerate(values[:rounds])) for key, values in zip(keys, drawn, strict=True)}
        )
        for key in keys:
            counts[key] = min(first.processes(key, TARGET) or rounds, rounds + MORE)
    return {key: dict(enumerate(values[: counts[key]])) for key, values in zip(keys, drawn, strict=True)}


def modelled(logs: Mapping[Cell, Measured]) -> Model[Cell]:
    """What the report makes of it."""
    medians = {key: [math.exp(value) for value in each.values()] for key, each in logs.items()}
    return Model(medians, dict.fromkeys(medians, ""), {key: list(each) for key, each in logs.items()})


def simulate(case: str, rounds: int, simulations: int, seed: int = 20261122) -> Rates:
    """Machines of 5 models x 5 rows (``few``: 2 x 3), drawn and judged ``simulations`` times."""
    rng = np.random.default_rng([seed, rounds, *case.encode()])
    models, rows = (2, 3) if case == "few" else (5, 5)
    keys = [(model, row) for model in range(models) for row in range(rows)]
    pair = (1, 2) if case == "parts" else (0, 1)  # of rows; the first is the one that is slower
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(simulations):
        logs = machine(case, keys, rounds, rng)
        equal = modelled(logs)
        by = math.log(FAR if case == "wild" else SLOWER)
        slower = [key for key in keys if key[1] == pair[0] and (case != "wild" or key == keys[0])]
        unequal = modelled(
            {
                key: {name: value + by * (key in slower) for name, value in each.items()}
                for key, each in logs.items()
            }
        )
        for key in keys:
            time = equal.time(key)
            found["time"].append(time.low <= 1 <= time.high)
            found["half"].append(math.log(time.high / time.low) / 2)
        for model in range(models):
            table = [(model, row) for row in range(rows)]
            two = [table[row] for row in pair]
            ratio = equal.ratio(*two)
            found["ratio"].append(ratio.low <= 1 <= ratio.high)
            found["apart"].append(_lost(equal, two, LEAST))
            found["lost"].append(_lost(equal, table, LEAST))
            found["lost_any"].append(_lost(equal, table, 0.0))
            for key in set(table) & set(slower):
                found["found"].append(not is_first(unequal.to_best(table)[key], LEAST))
    half = float(np.median(found.pop("half")))
    return Rates(**{name: float(np.mean(values)) for name, values in found.items()}, half=half)


def _lost(model: Model, table: Sequence[tuple[int, int]], least: float) -> bool:
    return not all(is_first(ratio, least) for ratio in model.to_best(table).values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulations", type=int, default=1000, help="machines a line (default: 1000)")
    parser.add_argument("--rounds", type=int, nargs="+", default=[2, 3, 5], help="processes a cell")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()
    print(
        "| Case | Processes | Times held | Ratios held | Equal pairs told apart | Ties lost | "
        f"Ties lost, no least difference | {100 * (SLOWER - 1):.0f} % slower found | Half-width |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    for case in args.cases:
        for rounds in args.rounds:
            rates = simulate(case, rounds, args.simulations)
            shares = (rates.time, rates.ratio, rates.apart, rates.lost, rates.lost_any, rates.found)
            figures = " | ".join(f"{100 * share:.1f} %" for share in shares)
            print(f"| {CASES[case]} | {rounds} | {figures} | {100 * rates.half:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
