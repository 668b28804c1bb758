"""The engines in JavaScript: a program with its packages beside it, or a reason why there is none; never a failed run.

npm is stood in for, so that no index of packages is asked; the workflow's miniature asks one.
"""

import json
import os
import re
import subprocess
import sys

import pytest

import build_javascript
import node
from arena import storage
from arena.contract import codec
from arena.contract.build import Built
from runner import REPOSITORY
from small_disk import small_disk

ENGINES = REPOSITORY / "workflow" / "engines" / "javascript"
LOCK = {
    "packages": {
        "": {"dependencies": {"tiny": "1.2.3"}},
        "node_modules/tiny": {"version": "1.2.3", "integrity": "sha512-aa"},
        "node_modules/tiny/node_modules/@deep/er": {"version": "4.0.0", "integrity": "sha512-bb"},
    }
}
INSTALLS = """\
test "$1" = ci && test "$2" = --ignore-scripts || exit 3
mkdir -p node_modules/tiny
echo '{"name": "tiny", "version": "1.2.3", "main": "tiny.cjs"}' > node_modules/tiny/package.json
echo 'module.exports = process.argv.slice(2)' > node_modules/tiny/tiny.cjs
mkdir -p node_modules/tiny/node_modules/@deep/er
echo '{"version": "4.0.0"}' > node_modules/tiny/node_modules/@deep/er/package.json
"""


@pytest.fixture
def engine(tmp_path):
    folder = tmp_path / "javascript" / "arena-tiny"
    folder.mkdir(parents=True)
    (folder / "package-lock.json").write_text(json.dumps(LOCK))
    (folder / "main.mjs").write_text(
        'import said from "tiny";\nimport { more } from "../arena/index.mjs";\nconsole.log(said, more, typeof gc);\n'
    )
    (folder.parent / "arena").mkdir()
    (folder.parent / "arena" / "index.mjs").write_text("export const more = 7;\n")
    return folder


def build(engine, npm, program=node.PROGRAM):
    """Run build_javascript.py with a stand-in for npm; how it ended, its record (None without one) and its program."""
    tools, place = engine.parents[1] / "bin", engine.parents[1] / "results with a space"
    for folder in (tools, place):
        folder.mkdir(exist_ok=True)
    if program:
        (tools / "node").symlink_to(program)
    (tools / "npm").write_text(f"#!/bin/sh\n{npm}")
    (tools / "npm").chmod(0o755)
    command = [sys.executable, REPOSITORY / "workflow/scripts/build_javascript.py", "--engine", engine]
    command += ["--package", "tiny", "--program", place / "program", "--record", place / "build.json"]
    path = os.pathsep.join([str(tools), "/usr/bin", "/bin"]) if program else str(tools)
    done = subprocess.run(
        list(map(str, command)), env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    record = place / "build.json"
    return done, codec.read(Built, record) if record.exists() else None, place / "program"


def test_a_program_starts_with_its_packages_from_wherever(engine, tmp_path):
    leaves_nothing = '[ "$NODE_DISABLE_COMPILE_CACHE" = 1 ] || exit 1\n'  # in the folder for temporary files
    done, record, program = build(engine, leaves_nothing + INSTALLS)
    assert (record.status, record.version, done.returncode) == ("ok", "1.2.3", 0)
    assert record.packages.keys() == {"tiny", "node"} and record.packages["tiny"] == "1.2.3"
    installed = program.parent / "files"
    assert record.program_bytes == sum(path.stat().st_size for path in installed.rglob("*") if path.is_file())
    assert {path.name for path in program.parent.iterdir()} == {"program", "build.json", "files"}
    said = subprocess.run([program, "--job", "a b"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == "[ '--job', 'a b' ] 7 function\n"


def test_another_build_takes_the_place_of_the_first(engine):
    build(engine, INSTALLS)
    (engine / "main.mjs").write_text("console.log('another')\n")
    (engine.parents[1] / "bin" / "node").unlink()
    _, record, program = build(engine, INSTALLS)
    assert record.status == "ok"
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "another\n"


def test_what_npm_says_is_the_reason(engine):
    says = "npm error code EINTEGRITY\nnpm error sha512-aa integrity checksum failed when using sha512\n"
    done, record, program = build(engine, f"cat >&2 <<'.'\n{says}.\nexit 1\n")
    assert (record.status, record.reason.code, done.returncode) == ("failed", "build-failed", 0)
    assert record.reason.detail == "npm error sha512-aa integrity checksum failed when using sha512"
    assert program.read_bytes() == b""


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"ALL_PROXY": "socks5://localhost:9"}, ["socks5://localhost:9"] * 2),
        (
            {"all_proxy": "http://localhost:9", "HTTPS_PROXY": "http://own:1"},
            ["http://localhost:9", "http://own:1"],
        ),
        (
            {"all_proxy": "http://localhost:9", "npm_config_https_proxy": "http://own:1"},
            ["http://localhost:9", None],
        ),
        ({"HTTPS_PROXY": "http://own:1"}, [None, "http://own:1"]),
    ],
)
def test_npm_asks_through_the_proxy_for_all(given, asked):
    """It reads no ALL_PROXY, and went past one."""
    found = build_javascript.with_proxies(given)
    named = {name.lower(): value for name, value in found.items()}
    assert [named.get("http_proxy"), named.get("https_proxy")] == asked


def test_an_index_that_is_not_reached_is_told_with_the_proxy(engine, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@localhost:9")
    says = (
        "npm error request to https://registry.example/tiny failed, reason: connect ECONNREFUSED 127.0.0.1:9"
    )
    _, record, _ = build(engine, f"echo '{says}' >&2\nexit 1\n")
    assert (
        record.reason.detail == f"{says}; asked through ALL_PROXY=socks5://localhost:9: correct or unset that"
    )


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ("npm error ENOSPC: no space left on device, write", 1),
        (
            "npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write",
            0,
        ),  # as npm 10 ends on a full disk
    ],
)
def test_a_full_disk_is_no_failure_of_the_engine(engine, says, status):
    done, record, program = build(engine, f"echo '{says}' >&2\nexit {status}\n")
    assert (done.returncode, record, program.exists()) == (storage.EXIT, None, False)
    assert "no space left on device" in done.stdout


def test_a_limit_of_the_shell_s_on_files_is_no_failure_of_the_engine(engine):
    done, record, _ = build(engine, "kill -s XFSZ $$\n")
    assert (done.returncode, record) == (storage.EXIT, None)
    assert "File too large. Nothing is recorded" in done.stdout


@pytest.mark.linux
def test_nor_is_one_that_is_full_as_the_engine_is_copied(engine):
    (engine / "large").write_bytes(bytes(2 << 20))
    with small_disk(engine.parents[1], megabytes=1, name="results with a space"):
        done, record, _ = build(engine, INSTALLS)
    assert (done.returncode, record) == (storage.EXIT, None), done.stdout


@pytest.mark.parametrize(
    ("npm", "detail"),
    [
        ("exit 0\n", "node_modules/tiny is none; expected 1.2.3, as in package-lock.json"),
        (f"{INSTALLS}rm -r node_modules/tiny/node_modules\n", "@deep/er is none; expected 4.0.0"),
        (
            f"{INSTALLS}sed -i s/1.2.3/1.2.4/ node_modules/tiny/package.json\n",
            "tiny is 1.2.4; expected 1.2.3",
        ),
        (
            f"{INSTALLS}echo 'npm warn tar TAR_ENTRY_ERROR EIO: i/o error' >&2\n",
            "npm warn tar TAR_ENTRY_ERROR EIO",
        ),
    ],
)
def test_npm_s_word_is_not_taken_for_what_it_installed(engine, npm, detail):
    _, record, program = build(engine, npm)
    assert (record.status, record.reason.code) == ("failed", "build-failed")
    assert detail in record.reason.detail and program.read_bytes() == b""


def test_npm_gets_the_settings_of_the_network_alone(engine, monkeypatch):
    """Others would install something else, or nothing, and end well."""
    kept = {
        "npm_config_registry": "http://localhost:9",
        "NPM_CONFIG_CAFILE": "/ca.pem",
        "npm_config_fetch_retries": "0",
    }
    others = {
        "npm_config_dry_run": "true",
        "npm_config_global": "1",
        "NPM_CONFIG_CPU": "arm",
        "NODE_OPTIONS": "--jitless",
    }
    for name, value in (kept | others).items():
        monkeypatch.setenv(name, value)
    done, record, _ = build(engine, f"{INSTALLS}env >&2\n")
    assert record.status == "ok"
    given = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert {name: given.get(name) for name in kept} == kept and not others.keys() & given.keys()
    assert "--no-dry-run --no-global" in done.stdout  # which a file of settings may say, too


def test_what_a_killed_build_has_left_goes(engine):
    left = engine.parents[1] / "results with a space" / ".stage-killed"
    (left / "node_modules").mkdir(parents=True)
    _, record, program = build(engine, INSTALLS)
    assert record.status == "ok" and not left.exists() and program.exists()


def test_without_node_the_cells_say_so(engine):
    _, record, program = build(engine, INSTALLS, program=None)
    assert (record.status, record.reason.code) == ("unsupported", "no-node")
    assert "`node` is not on the PATH" in record.reason.detail and program.read_bytes() == b""


def test_an_old_node_is_refused(engine, tmp_path):
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho v18.2.0\n")
    old.chmod(0o755)
    _, record, _ = build(engine, INSTALLS, program=old)
    assert (record.status, record.reason.code) == ("unsupported", "no-node")
    assert "is Node.js 18.2.0; 20 or later" in record.reason.detail


@pytest.mark.parametrize("folder", [path.parent.name for path in sorted(ENGINES.glob("*/package.json"))])
def test_every_package_is_locked_with_its_checksum(folder):
    lock = json.loads((ENGINES / folder / "package-lock.json").read_text(encoding="utf-8"))
    manifest = json.loads((ENGINES / folder / "package.json").read_text(encoding="utf-8"))
    own, *entries = lock["packages"].values()
    assert own["dependencies"] == manifest["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in manifest["dependencies"].values())
    assert entries and all(entry["integrity"].startswith("sha512-") for entry in entries)
    assert not any(
        "registry.npmjs.org" not in entry.get("resolved", "registry.npmjs.org") for entry in entries
    )


def test_versions_by_name(engine):
    assert build_javascript.locked(engine / "package-lock.json") == {"tiny": "1.2.3", "@deep/er": "4.0.0"}
