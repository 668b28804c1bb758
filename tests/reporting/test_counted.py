"""Which rounds of a results directory count: as many as were decided, by the verdict on so many."""

import pytest

from arena.contract import codec, decision
from reporting.counted import counted

CELL = {"why": "", "half_widths": {}, "started": [], "judged": True}


def results_with(results, present, decided):
    """Rounds by row that lie there, and how many of each are decided on; their paths."""
    cells = {f"Tiny/{row}": decision.Decided(rounds=count, **CELL) for row, count in decided.items()}
    if cells:
        record = decision.Decision(platform="local", planned=2, max_rounds=4, target=0.02, cells=cells)
        codec.write(results / "adaptive/local.json", record)
    folder = results / "benchmarks/local/Tiny"
    return [folder / row / f"round-{n}.json" for row, count in present.items() for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("present", "decided", "count", "verdict"),
    [
        (2, None, 2, "jax.json"),
        (3, None, 3, "jax.json"),  # planned, without a decision
        (2, 2, 2, "jax.json"),
        (4, 4, 4, "jax/rounds-4.json"),
        (4, 2, 2, "jax.json"),  # it was calm when it was measured again
        (4, 3, 3, "jax/rounds-3.json"),
        (5, 3, 5, "jax.json"),  # a later run planned more than that decision allows
    ],
)
def test_as_many_rounds_count_as_were_decided(tmp_path, present, decided, count, verdict):
    paths = results_with(tmp_path, {"jax": present}, {} if decided is None else {"jax": decided})
    found, verdicts = counted(tmp_path, "local", paths)
    assert found == paths[:count]
    assert verdicts == {"Tiny/jax": tmp_path / "validation/local/Tiny" / verdict}
