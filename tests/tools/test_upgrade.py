"""`make upgrade` against an index on the loopback interface: what it takes, passes over, writes and refuses."""

import os
import shutil
import subprocess
import sys

import pytest

from package_index import PackageIndex
from runner import DEPLOY, REPOSITORY, RUNNER, environ

sys.path.insert(0, str(DEPLOY))
from bootstrap import PYTHON

pytestmark = pytest.mark.slow
CP = f"cp{PYTHON.replace('.', '')}"
LINUX, ARM, MAC = (
    f"{CP}-{CP}-{where}" for where in ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "macosx_14_0_arm64")
)
ALL = (LINUX, ARM, MAC)

ALPHA = f"""# Alpha's rows: a comment that stays.
channels:
  - nodefaults
dependencies:
  - python={PYTHON}
  - pip
  - pip:
      # beside its requirement, one more
      - alpha[fast]==1.0
      - shared==1.0
      # locked: everything these need, written by `make lock ENV=alpha`
      - helper==1.0
"""
ALPHA_CUDA = ALPHA.replace("Alpha's rows", "On CUDA").replace("ENV=alpha", "ENV=alpha-cuda")
BETA = f"""dependencies:
  - python={PYTHON}
  - pip
  - pip:
      - beta==1.0
      - shared==1.0
      # locked: everything these need
"""
BASE = f"""dependencies:
  - python={PYTHON}
  - pip
  - pip:
      - shared==1.0
      # locked: everything these need
"""
TESTS = """# what tests run in
alpha==1.0
alpha-vision==1.0
shared==1.0
# locked: everything these need
helper==1.0
"""
RUNNER_FILE = "shared==1.0\n# locked: everything these need\n"
CONFIG = "run:\n  models: [Tiny, Small]\n  rows: [alpha-row, beta]\n"


@pytest.fixture(scope="module")
def index():
    with PackageIndex() as made:
        made.add("alpha", "1.0", "2026-01-05", ["helper", "speed; extra == 'fast'"], ALL)
        made.add("alpha", "1.1", "2026-02-05", ["helper", "speed; extra == 'fast'"], ALL)
        made.add("alpha", "2.0", "2026-03-05", ["helper>=2", "speed; extra == 'fast'"], ALL)
        made.add("alpha", "2.1rc1", "2026-04-01", tags=ALL)
        made.add("alpha", "2.2", "2026-04-02", tags=ALL, yanked=True)
        made.add("alpha", "2.3", "2026-04-03", tags=ALL[:2])
        made.add("alpha", "2.4", "2026-04-04", tags=ALL, python=">=3.99")
        made.add("alpha-vision", "1.0", "2026-01-06", ["alpha==1.0"])
        made.add("alpha-vision", "1.1", "2026-02-06", ["alpha==1.1"])
        made.add("alpha-vision", "2.0", "2026-03-06", ["alpha==2.0"])
        made.add("helper", "1.0", "2025-01-01")
        made.add("helper", "2.0", "2025-02-01")
        made.add("helper", "2.1", "2026-02-20")
        made.add("speed", "1.0", "2025-01-01")
        made.add("beta", "1.0", "2026-01-07")
        made.add("beta", "1.5", "2026-02-07", ["shared<2"])
        made.add("beta", "2.0", "2026-03-07", ["shared>=2"])
        made.add("old-fashioned", "1.0", "2025-01-01", ["helper<2.1"])
        made.add("needs-shared", "1.0", "2025-01-01", ["shared"])
        made.add("shared", "1.0", "2025-01-01")
        made.add("shared", "1.9", "2026-01-01")
        made.add("shared", "2.0", "2026-03-01")
        made.add_crate("gamma-core", "0.1.0", "2026-01-01")
        made.add_crate("gamma-core", "0.2.1", "2026-02-01", rust="1.95")
        made.add_crate("gamma-core", "0.2.2", "2026-02-02", yanked=True)
        made.add_crate("gamma-core", "0.3.0-pre.1", "2026-02-03")
        made.add_crate("gamma-core", "0.4.0", "2026-02-04", rust="1.999")
        yield made


@pytest.fixture
def project(tmp_path):
    """A project with two frameworks and an engine, committed."""
    root = tmp_path / "project"
    texts = {
        "envs/alpha.yaml": ALPHA.replace(
            "      - helper", "      - helper==1.0\n      - speed==1.0\n@"
        ).partition("@")[0],
        "envs/alpha-cuda.yaml": ALPHA_CUDA.replace(
            "      - helper", "      - helper==1.0\n      - speed==1.0\n@"
        ).partition("@")[0],
        "envs/beta.yaml": BETA,
        "envs/base.yaml": BASE,
        "envs/tests.txt": TESTS,
        "envs/runner.txt": RUNNER_FILE,
        "config/config.yaml": CONFIG,
        "config/frameworks/alpha.yaml": "frameworks:\n  alpha:\n    accelerators: {cpu: {}, cuda: {env: alpha-cuda}}\n"
        "    rows: {alpha-row: {}}\n",
        "config/frameworks/beta.yaml": "frameworks:\n  beta: {rows: {beta: {}}}\n",
        "config/frameworks/gamma.yaml": "frameworks:\n  gamma: {env: base, rows: {gamma: {}}}\n",
        "workflow/engines/Cargo.toml": '[workspace]\nresolver = "3"\nmembers = ["arena*"]\n\n[workspace.package]\n'
        'rust-version = "1.95"\n',
        "workflow/engines/arena-gamma/Cargo.toml": '[package]\nname = "arena-gamma"\nversion = "0.1.0"\n'
        'edition = "2024"\n\n[dependencies]\ngamma-core = "0.1" # what it is for\n',
        "workflow/engines/arena-gamma/src/main.rs": "fn main() {}\n",
        "workflow/engines/Cargo.lock": LOCK,
        "Snakefile": 'rule done:\n    output: "ran.txt"\n    shell: "cat envs/alpha.yaml > {output}"\n',
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "--message", "all")
    return root


LOCK = """version = 4

[[package]]
name = "arena-gamma"
version = "0.1.0"
dependencies = [
 "gamma-core",
]

[[package]]
name = "gamma-core"
version = "0.1.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"
"""


def git(root, *arguments):
    subprocess.run(["git", "-C", str(root), *arguments], check=True)


def state(root):
    return {
        str(path.relative_to(root)): path.read_text()
        for folder in ("envs", "workflow")
        for path in root.glob(f"{folder}/**/*")
        if path.is_file()
    }


def upgrade(index, root, *arguments):
    """The finished tool, which knows no other index."""
    home = root.parent / "home"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(
        f'[source.crates-io]\nreplace-with = "made-up"\n[source.made-up]\nregistry = "sparse+{index.address}/crates/"\n'
    )
    own = {
        "UV_DEFAULT_INDEX": f"{index.address}/simple",
        "UV_CACHE_DIR": str(home / "uv"),
        "PIP_CONFIG_FILE": os.devnull,
        "CARGO_HOME": str(home),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    environment = {
        k: v for k, v in environ(**own).items() if not k.startswith(("PIP_INDEX", "PIP_EXTRA", "PIP_FIND"))
    }
    ours, theirs = arguments, ()
    if "--" in arguments:
        cut = arguments.index("--")
        ours, theirs = arguments[:cut], arguments[cut:]
    command = [RUNNER / "python", REPOSITORY / "workflow/tools/upgrade.py", *ours, "--root", root, *theirs]
    return subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=300)


def test_a_dry_run_tells_versions_days_and_cells_and_writes_nothing(index, project):
    before = state(project)
    done = upgrade(index, project, "alpha", "--dry", "--", "--cores", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "alpha:",
        "  alpha 1.0 (2026-01-05) → 2.0 (2026-03-05)",
        "  alpha-vision 1.0 → 2.0, which goes with it",
        "  passed over: alpha 2.4 (2026-04-04) wants Python >=3.99",
        f"  passed over: alpha 2.3 (2026-04-03) has no wheel for Python {PYTHON} on macOS on arm64",
        "  passed over: alpha 2.2 (2026-04-02) was yanked",
        "  passed over: alpha 2.1rc1 (2026-04-01) is a pre-release",
        "  rewritten: envs/alpha-cuda.yaml, envs/alpha.yaml, envs/tests.txt, config/releases.csv",
        "  2 cells are measured again: alpha-row in 2 models",
    ]
    assert state(project) == before
    assert not (project / "ran.txt").exists()


def test_pins_and_locks_move_comments_stay_and_what_follows_runs(index, project):
    before = state(project)
    done = upgrade(index, project, "alpha", "--", "--cores", "1", "ran.txt")
    assert done.returncode == 0, done.stderr
    after = state(project)
    new = (
        before["envs/alpha.yaml"]
        .replace("alpha[fast]==1.0", "alpha[fast]==2.0")
        .replace("helper==1.0", "helper==2.1")
    )
    assert after["envs/alpha.yaml"] == new
    assert "On CUDA" in after["envs/alpha-cuda.yaml"] and "alpha[fast]==2.0" in after["envs/alpha-cuda.yaml"]
    assert after["envs/tests.txt"] == (
        "# what tests run in\nalpha==2.0\nalpha-vision==2.0\nshared==1.0\n"
        "# locked: everything these need\nhelper==2.1\n"
    )
    same = {"envs/beta.yaml", "envs/base.yaml", "envs/runner.txt", "workflow/engines/Cargo.lock"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert (project / "ran.txt").read_text() == after["envs/alpha.yaml"]
    assert not list(project.glob("envs/.*"))
    days = "package,version,released\nalpha,1.0,2026-01-05\nalpha,2.0,2026-03-05\n"
    assert (project / "config/releases.csv").read_text() == days


def test_a_second_call_finds_nothing_to_do_and_runs_nothing(index, project):
    assert upgrade(index, project, "beta").returncode == 0
    git(project, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-am", "beta")
    done = upgrade(index, project, "beta", "--", "--cores", "1", "ran.txt")
    assert done.stdout.startswith("beta: up to date")
    assert not (project / "ran.txt").exists()


def test_what_does_not_go_with_a_shared_pin_waits_for_it(index, project):
    done = upgrade(index, project, "beta")
    assert "beta 1.0 (2026-01-07) → 1.5 (2026-02-07)" in done.stdout
    assert "passed over: beta 2.0 (2026-03-07) does not go with the others in envs/beta.yaml" in done.stdout
    assert "beta==1.5" in (project / "envs/beta.yaml").read_text()


def test_common_moves_the_shared_package_in_every_file(index, project):
    done = upgrade(index, project, "common")
    assert done.returncode == 0, done.stderr
    assert "shared 1.0 (2025-01-01) → 2.0 (2026-03-01)" in done.stdout
    for name in ("alpha.yaml", "alpha-cuda.yaml", "beta.yaml", "base.yaml", "tests.txt", "runner.txt"):
        text = (project / "envs" / name).read_text()
        assert "shared==2.0" in text and "shared==1.0" not in text
    assert "helper==2.1" in (project / "envs/alpha.yaml").read_text()  # needed indirectly, and 1.0 until now
    assert "every cell is judged anew" in done.stdout


def test_what_one_file_keeps_back_another_does_not_move(index, project):
    """That the runner needs it only indirectly gives it no newer version than the files that require it can have."""
    for name in ("tests.txt", "runner.txt"):
        file = project / "envs" / name
        file.write_text(file.read_text().replace("shared==1.0\n", "") + "shared==1.0\n")
    runner = project / "envs/runner.txt"
    runner.write_text("needs-shared==1.0\n" + runner.read_text())
    beta = project / "envs/beta.yaml"
    beta.write_text(beta.read_text().replace("beta==1.0", "beta==1.5"))
    git(
        project,
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.org",
        "commit",
        "--quiet",
        "-am",
        "kept back",
    )
    done = upgrade(index, project, "common")
    assert done.returncode == 0, done.stderr
    assert "passed over: shared 2.0 (2026-03-01) does not go with the others in envs/beta.yaml" in done.stdout
    texts = {name: text for name, text in state(project).items() if "shared==" in text}
    assert len(texts) == 5 and {"shared==1.9" in text for text in texts.values()} == {True}


def test_what_is_needed_indirectly_agrees_with_who_can_have_least(index, project):
    file = project / "envs/beta.yaml"
    file.write_text(file.read_text().replace("      - shared", "      - old-fashioned==1.0\n      - shared"))
    file.write_text(file.read_text() + "      - helper==1.0\n")
    git(project, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-am", "another")
    done = upgrade(index, project, "common")
    assert done.returncode == 0, done.stderr
    texts = {name: text for name, text in state(project).items() if "helper==" in text}
    assert len(texts) == 4 and {"helper==2.0" in text for text in texts.values()} == {True}


def test_without_a_name_it_is_what_they_share_and_every_framework(index, project):
    done = upgrade(index, project)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line[0] != " "]
    assert told == ["common:", "alpha:", "beta:", "gamma:", "common: up to date"]
    texts = {name: text for name, text in state(project).items() if name.startswith("envs/")}
    assert "beta==2.0" in texts["envs/beta.yaml"]  # which wants shared 2: that has to come first
    assert {"shared==2.0" in text for text in texts.values()} == {True}
    assert "alpha==2.0" in texts["envs/tests.txt"]


def test_a_hold_is_kept_and_told_with_its_reason(index, project):
    file = project / "envs/alpha-cuda.yaml"
    file.write_text(
        file.read_text().replace(
            "      - alpha", "      # hold: alpha<2, cards of 2019 need it\n      - alpha"
        )
    )
    git(project, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-am", "hold")
    done = upgrade(index, project, "alpha")
    assert "alpha 1.0 (2026-01-05) → 1.1 (2026-02-05)" in done.stdout
    assert "alpha 2.0 (2026-03-05) envs/alpha-cuda.yaml holds it at <2, cards of 2019 need it" in done.stdout
    assert "# hold: alpha<2, cards of 2019 need it\n      - alpha[fast]==1.1" in file.read_text()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# hold: alpha<2", "expected `# hold: NAME<3, WHY`"),
        ("# hold: alpha, it is old", "expected `# hold: NAME<3, WHY`"),
        ("# hold: helper<2, it is old", "helper is not required there"),
    ],
)
def test_a_hold_in_another_form_is_refused(index, project, line, expected):
    file = project / "envs/alpha.yaml"
    file.write_text(file.read_text().replace("      - alpha", f"      {line}\n      - alpha"))
    before = state(project)
    done = upgrade(index, project, "alpha")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"envs/alpha.yaml: `{line}`" in done.stderr and expected in done.stderr
    assert state(project) == before


def test_a_file_that_is_not_as_committed_is_refused(index, project):
    file = project / "envs/alpha.yaml"
    file.write_text(file.read_text() + "      - mine==1.0\n")
    before = state(project)
    done = upgrade(index, project, "alpha")
    assert done.returncode == 2
    assert "envs/alpha.yaml: not as committed" in done.stderr
    assert state(project) == before


def test_a_package_pinned_to_two_versions_is_refused(index, project):
    file = project / "envs/alpha-cuda.yaml"
    file.write_text(file.read_text().replace("==1.0\n      - shared", "==1.1\n      - shared"))
    done = upgrade(index, project, "alpha")
    assert done.returncode == 2
    assert "alpha is pinned to different versions (envs/alpha.yaml: ==1.0" in done.stderr


def test_an_unknown_framework_is_refused_with_those_there_are(index, project):
    done = upgrade(index, project, "delta")
    assert done.returncode == 2
    assert (
        "delta: no framework of the catalogue; expected one of alpha, beta, gamma, common, runner"
        in done.stderr
    )


def test_where_nothing_is_configured_the_index_is_pip_s_and_cargo_s_own(tmp_path):
    code = "from upgrading.index import Crates, Index; print(Index({}).url, Crates().url)"
    folders = [REPOSITORY / folder for folder in ("workflow/tools", "workflow/deploy", "workflow/scripts")]
    env = {
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "CARGO_HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
    }
    found = subprocess.check_output([RUNNER / "python", "-c", code], text=True, env=env)
    packages, crates = found.split()
    said = subprocess.check_output([RUNNER / "python", "-m", "pip", "install", "--help"], text=True, env=env)
    assert f"(default {packages})" in " ".join(said.split())
    locked = (REPOSITORY / "workflow/engines/Cargo.lock").read_text()
    assert f"/{crates.removeprefix('https://index.')}-index" in locked


def test_an_index_that_does_not_answer_is_named_without_its_password(index, project, monkeypatch):
    gone = type("Gone", (), {"address": "http://user:secret@127.0.0.1:9"})()
    done = upgrade(gone, project, "alpha")
    assert done.returncode == 2
    assert "http://127.0.0.1:9/simple/alpha/" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.skipif(not shutil.which("cargo"), reason="cargo moves the crates")
def test_an_engine_s_crates_move_with_their_lock(index, project):
    done = upgrade(index, project, "gamma")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "gamma:",
        "  gamma-core 0.1.0 (2026-01-01) → 0.2.1 (2026-02-01)",
        "  passed over: gamma-core 0.4.0 (2026-02-04) wants Rust 1.999",
        "  passed over: gamma-core 0.3.0-pre.1 (2026-02-03) is a pre-release",
        "  passed over: gamma-core 0.2.2 (2026-02-02) was yanked",
        "  rewritten: workflow/engines/Cargo.lock, workflow/engines/arena-gamma/Cargo.toml, config/releases.csv",
        "  no cell of config/config.yaml is measured again; rows of other configurations may be",
    ]
    manifest = (project / "workflow/engines/arena-gamma/Cargo.toml").read_text()
    assert 'gamma-core = "0.2" # what it is for' in manifest
    assert 'name = "gamma-core"\nversion = "0.2.1"' in (project / "workflow/engines/Cargo.lock").read_text()
