"""What of a shell a process of the arena is given."""

import json
import os
import subprocess
import sys

from arena import environment
from runner import REPOSITORY

SCRIPTS = REPOSITORY / "workflow" / "scripts"
SHELL = {
    "PATH": "/bin", "HOME": "/home/x", "LC_ALL": "C.UTF-8", "CUDA_VISIBLE_DEVICES": "1", "ARENA_X": "1",
    "VK_ICD_FILENAMES": "/icd.json", "OMP_NUM_THREADS": "2", "PYTHONPATH": "/modules",
}  # fmt: skip
NOT_OURS = {
    "TORCHDYNAMO_DISABLE": "1", "GOMP_CPU_AFFINITY": "0", "OMP_PLACES": "cores", "KMP_AFFINITY": "compact",
    "LD_PRELOAD": "/x.so", "HF_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "JAX_ENABLE_X64": "1", "PYTHONOPTIMIZE": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2", "XLA_FLAGS": "--xla_dump_to=/x",
    "TF_NUM_INTRAOP_THREADS": "1", "IREE_RUN_FLAGS": "x", "ORT_DISABLE_ALL": "1", "NODE_OPTIONS": "--jitless",
    "NODE_PATH": "/x", "UV_THREADPOOL_SIZE": "1", "npm_config_dry_run": "true", "LD_AUDIT": "/x.so",
    "ARENA_TOKEN": "x", "HTTPS_PROXY": "http://me:you@proxy", "RUSTFLAGS": "-C opt-level=0", "SLURM_JWT": "x",
}  # fmt: skip
OF_A_BUILD = {
    "CARGO_HOME": "/c", "CARGO_PROFILE_RELEASE_LTO": "off", "HTTPS_PROXY": "http://proxy", "CC": "gcc",
    "CARGO_REGISTRIES_MIRROR_INDEX": "sparse+https://mirror",
}  # fmt: skip
NOT_OF_A_BUILD = {
    "CARGO_BUILD_TARGET": "wasm32-wasip1", "CARGO_ENCODED_RUSTFLAGS": "-g", "CARGO_REGISTRY_TOKEN": "x",
    "CARGO_REGISTRIES_MIRROR_TOKEN": "x", "RUSTC_WRAPPER": "x",
}  # fmt: skip


def test_what_is_on_the_list_is_passed_and_nothing_else():
    assert environment.passed(SHELL | NOT_OURS) == SHELL


def test_a_build_gets_its_compilers_and_its_network_besides():
    given = SHELL | OF_A_BUILD
    assert environment.for_building(given | NOT_OURS | NOT_OF_A_BUILD | OF_A_BUILD) == given


def test_what_is_held_back_is_known_by_name(monkeypatch):
    monkeypatch.setattr(environment.os, "environ", SHELL | {"B_TOKEN": "x", "A": "1"})
    assert environment.withheld(SHELL) == ["A", "B_TOKEN"]


def test_a_program_starts_anew_without_them_once(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from arena import environment\nenvironment.enter()\n"
        "import json, os; print(json.dumps([os.getpid(), sys.argv[1:], dict(os.environ)]))\n"
    )
    shell = SHELL | NOT_OURS | {"PATH": os.environ["PATH"], "PYTHONPATH": ""}
    command = [sys.executable, program, "a b", "--c=*"]
    process = subprocess.Popen(command, env=shell, stdout=subprocess.PIPE, text=True)
    pid, arguments, found = json.loads(process.communicate(timeout=60)[0])
    assert (pid, arguments) == (process.pid, ["a b", "--c=*"])
    expected = SHELL | {"PATH": os.environ["PATH"], "PYTHONPATH": "", environment.ENTERED: str(pid)}
    assert found == expected
