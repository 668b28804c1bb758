"""The unit tests of the engines in Rust, each crate's with `cargo test`.

They are compiled as the programs of the end-to-end run are, so that both share what they depend on.
"""

import os
import re
import shutil
import subprocess

import pytest

import build_engine
from arena.configuration import frameworks
from checkout import BUILDERS, END_TO_END, ENGINES, FRAMEWORKS
from runner import REPOSITORY

pytestmark = END_TO_END


# Of the miniature's engines, of which one has no program.
CRATES = [
    crate.name
    for engine in dict.fromkeys(FRAMEWORKS[row]["engine"] for row in ENGINES)
    if (crate := frameworks.crate(REPOSITORY, engine)).is_dir()
]


@pytest.mark.parametrize("crate", ["arena", *CRATES])
def test_the_unit_tests_of_a_crate_pass(crate):
    if shutil.which("cargo") is None:
        pytest.skip("no cargo here")
    done = subprocess.run(
        ["cargo", "test", "--release", "--locked", "--package", crate],
        cwd=REPOSITORY / "workflow/engines",
        env=os.environ | BUILDERS | {"RUSTFLAGS": build_engine.FLAGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"^test result: ok\. (\d+) passed", done.stdout, re.MULTILINE)
    assert sum(map(int, passed)) > 0, done.stdout
