"""The runner (.venv, or the folder named by ARENA_RUNNER) and the environment files, as tests see them."""

import os
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
RUNNER = Path(os.environ.get("ARENA_RUNNER", REPOSITORY / ".venv" / "bin"))
DEPLOY = REPOSITORY / "workflow" / "deploy"


def environ(*before, **changes):
    """This process's environment with ``before`` and the runner first on PATH, and no other conda there.

    OMP_NUM_THREADS is for the tests' own process, of which several share the machine.
    """
    path = [place for place in os.environ["PATH"].split(os.pathsep) if not Path(place, "conda").exists()]
    path = os.pathsep.join(map(str, [*before, RUNNER, *path]))
    own = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return {**own, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **changes}


def pins(file):
    """{canonical name: Requirement} of an environment file."""
    if file.suffix == ".yaml":
        *_, last = yaml.safe_load(file.read_text())["dependencies"]
        lines = last["pip"]
    else:
        lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    bare = [line.partition(" --config-settings")[0] for line in lines]
    return {canonicalize_name(r.name): r for r in map(Requirement, bare)}
