"""`make releases`: both pins as rows of one run, and what it refuses before anything runs."""

import subprocess
import sys

import pytest

import releases
from arena.configuration.loader import catalogues
from runner import REPOSITORY


def refused(*arguments):
    command = [
        sys.executable,
        REPOSITORY / "workflow/tools/releases.py",
        *arguments,
        "--directory",
        "nowhere",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert not (REPOSITORY / "nowhere").exists()
    return done.stderr


def test_each_row_is_measured_with_both_environments():
    entry = catalogues(REPOSITORY)["frameworks"]["jax"] | {
        "adapter": "a.py",
        "distribution": "jax",
        "engine": None,
    }
    made = releases.overlay("jax", entry, ["jax", "jax-bf16"], ["ResNet-50"])
    assert made["run"] == {
        "rows": ["jax", "jax-before", "jax-bf16", "jax-bf16-before"],
        "baseline": "jax",
        "models": ["ResNet-50"],
    }
    (older,) = made["frameworks"].values()
    assert older["env"] == "jax-before" and older["adapter"] == "a.py" and older["export"] == "jax"
    assert older["rows"]["jax-bf16-before"] == {"label": "JAX bfloat16 before", "lane": "bfloat16"}
    assert "exports" not in older  # the present environment's, for both


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["jax", "--old", "HEAD"], "--old HEAD: envs/jax.yaml is the same there; name an older commit"),
        (["jax", "--old", "no-such-commit"], "--old no-such-commit: fatal: "),
        (["jaxx"], "jaxx: no framework of the catalogue; expected one of burn"),
        (["candle"], "candle: an engine's older crates are another workspace"),
        (["jax", "--rows", "jax", "jax-f8"], "--rows: jax-f8: jax has jax, jax-tf32"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, says):
    assert says in refused(*arguments)
