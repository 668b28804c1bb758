"""Building the engines: a program, or a reason why there is none; never a failed run."""

import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest

import build_engine
from arena import storage
from arena.configuration import crates
from runner import REPOSITORY
from small_disk import small_disk

ENGINES = REPOSITORY / "workflow" / "engines"
LOCK = """version = 4
[[package]]
name = "arena-tiny"
version = "0.1.0"
dependencies = ["arena", "deep 2.0.0", "wide"]

[[package]]
name = "arena"
version = "0.1.0"

[[package]]
name = "deep"
version = "1.0.0"
source = "registry"
checksum = "aa"

[[package]]
name = "deep"
version = "2.0.0"
source = "registry"
checksum = "bb"

[[package]]
name = "wide"
version = "3.1.0"
source = "registry"
checksum = "cc"
dependencies = ["deep 1.0.0"]

[[package]]
name = "foreign"
version = "1.0.0"
source = "registry"
checksum = "dd"
"""


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "Cargo.lock"
    path.write_text(LOCK)
    return path


def test_what_a_lock_file_says_of_one_engine(lock):
    expected = ["arena 0.1.0 of this checkout", "arena-tiny 0.1.0 of this checkout"]
    expected += ["deep 1.0.0 aa", "deep 2.0.0 bb", "wide 3.1.0 cc"]
    assert crates.locked(lock, "arena-tiny") == expected
    assert crates.direct(lock, "arena-tiny") == {"deep": "2.0.0", "wide": "3.1.0"}
    assert crates.local(lock, "arena-tiny") == ["arena", "arena-tiny"]


def test_an_engine_that_is_not_locked_is_named(lock):
    with pytest.raises(KeyError, match="no package arena-other: run `cargo build`"):
        crates.locked(lock, "arena-other")


def test_every_engine_is_locked():
    for name in sorted(path.parent.name for path in ENGINES.glob("*/Cargo.toml")):
        assert f"{name} 0.1.0 of this checkout" in crates.locked(ENGINES / "Cargo.lock", name)


def test_all_engines_but_the_one_that_fetches_llvm_are_looked_at():
    with open(ENGINES / "Cargo.toml", "rb") as stream:
        patterns = tomllib.load(stream)["workspace"]["default-members"]
    looked_at = {path.name for pattern in patterns for path in ENGINES.glob(pattern)}
    assert looked_at == {path.parent.name for path in ENGINES.glob("*/Cargo.toml")} - {"arena-burn-cuda"}


def build(tmp_path, workspace, *, engine="tiny", crate="itoa", path=None, **environment):
    """Run build_engine.py; its record, and the program's path."""
    program, record = tmp_path / "program", tmp_path / "build.json"
    command = [sys.executable, REPOSITORY / "workflow/scripts/build_engine.py", "--workspace", workspace]
    command += ["--engine", engine, "--crate", crate, "--target", tmp_path / "target"]
    command += ["--program", program, "--record", record]
    own = {"PATH": path or os.environ["PATH"], **environment}
    subprocess.run(list(map(str, command)), env=os.environ | own, check=True)
    return json.loads(record.read_text()), program


def test_no_cargo_is_a_reason(tmp_path):
    record, program = build(tmp_path, ENGINES, engine="candle", path=str(tmp_path))
    assert record["status"] == "unsupported"
    assert record["reason"] == {
        "code": "no-cargo",
        "detail": "no Rust here: `cargo` is not on the PATH",
    }
    assert program.read_bytes() == b"" and record["program_bytes"] is None


def test_an_engine_without_program_asks_the_registry_if_it_can(tmp_path):
    record, _ = build(tmp_path, ENGINES, engine="inferi", crate="inferi", path=str(tmp_path))
    assert (record["status"], record["reason"]["code"]) == ("unsupported", "not-released")
    assert "could not be asked" in record["reason"]["detail"]


@pytest.mark.parametrize(
    ("lock", "rustc", "detail"),
    [
        ("version = 4\n", "rustc 1.95.0", "KeyError"),  # no package arena-tiny
        ("not TOML", "rustc 1.95.0", "TOMLDecodeError"),
        (None, "", "FileNotFoundError"),
    ],
)
def test_whatever_a_build_meets_is_a_reason(tmp_path, manifests, lock, rustc, detail):
    """Programs that pretend to be Rust's: cargo says that it has built, and then something is not as expected."""
    programs, built = tmp_path / "programs", tmp_path / "built"
    programs.mkdir()
    built.write_text("")
    said = json.dumps({"executable": str(built), "target": {"name": "arena-tiny"}})
    for name, text in {"cargo": said, "cc": "", "rustc": rustc}.items():
        (programs / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (programs / name).chmod(0o755)
    if lock is not None:
        (manifests / "Cargo.lock").write_text(lock)
    record, program = build(tmp_path, manifests, path=f"{programs}:/usr/bin:/bin")
    assert (record["status"], record["reason"]["code"]) == ("failed", "build-failed")
    assert record["reason"]["detail"].startswith(detail)
    assert program.read_bytes() == b"" and record["packages"] == {}


@pytest.fixture
def manifests(tmp_path):
    """The files of a workspace with one engine, which prints a number through a published crate."""
    root = tmp_path / "workspace"
    (root / "arena-tiny/src").mkdir(parents=True)
    (root / "Cargo.toml").write_text('[workspace]\nresolver = "3"\nmembers = ["arena*"]\n')
    package = '[package]\nname = "arena-tiny"\nversion = "0.1.0"\nedition = "2024"\n'
    (root / "arena-tiny/Cargo.toml").write_text(
        f'{package}[features]\nvulkan = []\n[dependencies]\nitoa = "1"\n'
    )
    source = 'fn main() { print!("{} {}", itoa::Buffer::new().format(7), cfg!(feature = "vulkan")) }\n'
    (root / "arena-tiny/src/main.rs").write_text(source)
    return root


@pytest.fixture
def workspace(manifests):
    """The same, locked by the crate registry's newest versions."""
    if shutil.which("cargo") is None:
        pytest.skip("no cargo here")
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=manifests, check=True)
    return manifests


@pytest.mark.network
def test_a_program_is_built_and_described(tmp_path, workspace):
    record, program = build(tmp_path, workspace, CARGO_TARGET_DIR=str(tmp_path / "elsewhere"))
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "7 false"
    assert record["status"] == "ok" and record["reason"] is None
    assert record["version"] == record["packages"]["itoa"] and record["version"].startswith("1.")
    assert record["packages"]["rustc"][0].isdigit()
    assert record["program_bytes"] == program.stat().st_size > 100_000
    assert record["build"]["flags"] == "-C target-cpu=native" and record["build"]["target_cpu"]
    assert (tmp_path / "elsewhere").is_dir() and not (tmp_path / "target").exists()


@pytest.mark.network
def test_a_build_is_this_machine_s_whatever_cargo_is_configured_for(tmp_path, workspace):
    """A target of cargo's own configuration moves what it builds, and may be another machine's."""
    (workspace / ".cargo").mkdir()
    (workspace / ".cargo/config.toml").write_text(
        '[build]\ntarget = "wasm32-unknown-unknown"\nrustflags = ["-g"]\n'
    )
    shell = {
        "CARGO_BUILD_TARGET": "wasm32-wasip1",
        "CARGO_ENCODED_RUSTFLAGS": "--nonsense",
        "RUSTFLAGS": "--nonsense",
    }
    record, program = build(tmp_path, workspace, CARGO_PROFILE_RELEASE_OPT_LEVEL="0", **shell)
    assert record["status"] == "ok", record["reason"]
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "7 false"
    assert record["build"]["flags"] == "-C target-cpu=native, CARGO_PROFILE_RELEASE_OPT_LEVEL=0"
    again, _ = build(tmp_path, workspace, CARGO_PROFILE_RELEASE_OPT_LEVEL="0")
    assert again["status"] == "ok"  # nothing to compile, and cargo still says where the program is


@pytest.mark.network
@pytest.mark.linux
def test_a_full_disk_is_no_failed_build(tmp_path, workspace):
    with small_disk(tmp_path, megabytes=1, name="target") as target:
        (target / "most").write_bytes(b"x" * 900_000)
        with pytest.raises(subprocess.CalledProcessError) as ended:
            build(tmp_path, workspace)
        assert ended.value.returncode == storage.EXIT
        assert not (tmp_path / "build.json").exists()


@pytest.mark.network
def test_a_failed_build_is_a_failed_cell(tmp_path, workspace):
    (workspace / "arena-tiny/src/main.rs").write_text("fn main() { 1 + itoa::nothing() }\n")
    record, program = build(tmp_path, workspace)
    assert (record["status"], record["reason"]["code"]) == ("failed", "build-failed")
    assert record["reason"]["detail"].startswith("error[E0425]: cannot find function `nothing`")
    assert program.read_bytes() == b""


UNREACHED = """\
    Updating crates.io index
error: failed to get `itoa` as a dependency of package `arena-tiny v0.1.0`

Caused by:
  failed to download from `https://index.example/config.json`

Caused by:
  [7] Could not connect to server (Failed to connect to 127.0.0.1 port 9 after 0 ms)
"""


def test_a_registry_that_is_not_reached_is_told_with_the_proxy(monkeypatch):
    for name in (name for name in os.environ if name.lower().endswith("_proxy")):
        monkeypatch.delenv(name)
    told = (
        "error: failed to get `itoa` as a dependency of package `arena-tiny v0.1.0`: [7] Could not connect to server "
        "(Failed to connect to 127.0.0.1 port 9 after 0 ms)"
    )
    assert build_engine.first_error(UNREACHED) == told
    monkeypatch.setenv("all_proxy", "socks5://me:secret@localhost:9")
    named = "; asked through all_proxy=socks5://localhost:9: correct or unset that"
    assert build_engine.first_error(UNREACHED) == f"{told}{named}"
    assert build_engine.first_error("error[E0425]: cannot find [7] it") == "error[E0425]: cannot find [7] it"


def test_an_interface_is_a_feature_where_the_crate_has_it(manifests):
    manifest = manifests / "arena-tiny/Cargo.toml"
    assert build_engine.feature(manifest, "vulkan") == ["vulkan"]
    assert build_engine.feature(manifest, "cuda") == []


@pytest.mark.network
@pytest.mark.parametrize(
    ("crate", "code", "words"),
    [
        ("itoa", "no-program", "is released; workflow/engines/ has no program for it"),
        ("arena-of-a-name-that-nobody-took", "not-released", "the crate registry has no arena-of-a-name"),
    ],
)
def test_a_released_crate_flips_the_reason(crate, code, words):
    if shutil.which("cargo") is None:
        pytest.skip("no cargo here")
    found, text = build_engine.published(crate)
    assert (found, words in text) == (code, True), text


def test_the_processor_has_a_name():
    known = (
        "Available CPUs:\n    native   - Select the CPU of the current host (currently znver4).\n    x86-64\n"
    )
    assert build_engine.native(known) == "znver4"
    assert build_engine.native("Available CPUs:\n    x86-64\n") is None
