"""Everything that a machine without a network needs, in pieces: `python bundle.py --envs pytorch jax --out DIR`.

Packs this checkout's commit, the wheels of the environments for the other machine's Python and platform, and with
--engines the crates and the Rust toolchain. There, one command checks the sums, unpacks and runs:

    sh DIR/unpack-and-run --cores all -- results/report.md

By default the other machine builds the project's own environments (Python 3.13, `--envs runner ...`), offline. With
--host PYTHON it has that Python only, and one environment beside what is installed there, for profiles/host.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import library  # noqa: F401  (the path)

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "deploy"))

import installer  # noqa: E402
import lock  # noqa: E402
from packaging.markers import Marker  # noqa: E402
from packaging.requirements import Requirement  # noqa: E402
from packaging.utils import canonicalize_name  # noqa: E402

UNPACK = "unpack-and-run"
PIECE = "arena-bundle.tar"
SUMS = "SHA256SUMS"
# By the other machine's platform: uv's name, pip's tags, Rust's triple, and what markers ask.
PLATFORMS = {
    "linux-x86_64": {
        "uv": "x86_64-manylinux_2_39",
        "tags": [f"manylinux_2_{minor}_x86_64" for minor in range(39, 4, -1)]
        + ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"],
        "rust": "x86_64-unknown-linux-gnu",
        "marker": lock.TARGETS[0],
    },
    "linux-aarch64": {
        "uv": "aarch64-manylinux_2_39",
        "tags": [f"manylinux_2_{minor}_aarch64" for minor in range(39, 16, -1)]
        + ["manylinux2014_aarch64", "linux_aarch64"],
        "rust": "aarch64-unknown-linux-gnu",
        "marker": lock.TARGETS[1],
    },
}


class BundleError(Exception):
    """The bundle cannot be made; the message says why and what to do."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--envs", nargs="+", default=[], metavar="NAME", help="files in envs/, without .yaml or .txt"
    )
    parser.add_argument(
        "--host", metavar="PYTHON", help="the other machine's Python, 3.12 for example: profiles/host"
    )
    parser.add_argument("--platform", choices=PLATFORMS, default="linux-x86_64", help="the other machine's")
    parser.add_argument("--also", nargs="+", default=[], metavar="NAME==VERSION", help="more packages")
    parser.add_argument("--engines", action="store_true", help="the crates of workflow/engines, and Rust")
    parser.add_argument(
        "--files", nargs="+", type=Path, default=[], help="files or folders to carry along, as extra/"
    )
    parser.add_argument("--piece-mb", type=float, default=1000, help="size of a piece in MB (10^6 bytes)")
    parser.add_argument("--out", type=Path, required=True, help="folder to make; it must not exist")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        pieces = make(args)
    except (BundleError, lock.LockError) as error:
        sys.exit(f"bundle: {error}")
    size = sum(path.stat().st_size for path in pieces)
    print(f"{args.out}: {len(pieces)} pieces, {size / 1e6:.0f} MB; there: sh {args.out.name}/{UNPACK}")


def make(args: argparse.Namespace) -> list[Path]:
    """Make ``args.out`` with its pieces, sums and unpacker; the pieces."""
    if args.out.exists():
        raise BundleError(f"{args.out} exists; delete it or name another folder")
    if args.piece_mb <= 0:
        raise BundleError(f"--piece-mb {args.piece_mb}: expected a size above 0")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent, prefix=".bundle-") as folder:
        content, made = Path(folder, "content"), Path(folder, "made")
        content.mkdir()
        made.mkdir()
        source(content / "source")
        wheels(args, content)
        if args.engines:
            crates(args, content / "cargo")
            toolchain(args, content / "toolchain")
        for path in args.files:
            copy(path, content / "extra" / path.name)
        pieces = split(content, made / PIECE, int(args.piece_mb * 1e6))
        shutil.copy2(Path(__file__).with_name("unpack-and-run.sh"), made / UNPACK)
        sums = "".join(f"{sha256(path)}  {path.name}\n" for path in pieces)
        (made / SUMS).write_text(sums, encoding="utf-8")
        made.rename(args.out)
    return [args.out / path.name for path in pieces]


def source(folder: Path) -> None:
    """This checkout's commit as a clone without history, so that records there name it."""
    if run("git", "-C", str(ROOT), "status", "--porcelain").strip():
        raise BundleError(
            f"{ROOT} has changes that no commit holds; commit or stash them: what is packed is a commit"
        )
    run("git", "clone", "--quiet", "--depth=1", ROOT.as_uri(), str(folder))
    run("git", "-C", str(folder), "remote", "remove", "origin")


def wheels(args: argparse.Namespace, content: Path) -> None:
    """The packages of ``args.envs`` for the other machine's Python, and how they are to be installed there."""
    pins = host_pins(args) if args.host else own_pins(args)
    python = args.host or lock.PYTHON
    (content / "wheels").mkdir()
    download(sorted(set(pins + args.also)), python, PLATFORMS[args.platform]["tags"], content / "wheels")
    described = {"mode": "host" if args.host else "own", "python": python, "envs": args.envs}
    (content / "bundle.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    (content / "mode").write_text(described["mode"] + "\n", encoding="utf-8")
    (content / "python").write_text(python + "\n", encoding="utf-8")
    (content / "requirements.txt").write_text(
        "".join(f"{pin}\n" for pin in pins + args.also), encoding="utf-8"
    )


def own_pins(args: argparse.Namespace) -> list[str]:
    """Every pin of the environments, as locked, that applies to the other machine; the runner's always."""
    if args.platform not in PLATFORMS:
        raise BundleError(f"--platform {args.platform}: expected one of {', '.join(PLATFORMS)}")
    target = PLATFORMS[args.platform]["marker"] | {"python_version": lock.PYTHON}
    pins = []
    for name in dict.fromkeys(["runner", *args.envs]):
        _, direct, locked = lock.split(env_file(name))
        for requirement in [*direct, *map(Requirement, locked)]:
            if (requirement.marker or Marker("python_version > '0'")).evaluate(target):
                extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
                pins.append(f"{requirement.name}{extras}{requirement.specifier}")
    return pins


def host_pins(args: argparse.Namespace) -> list[str]:
    """What uv resolves the direct requirements of the environments and Snakemake to, for the other Python.

    All share one environment there: where one asks for a package that Snakemake needs, too, the runner's version
    counts.
    """
    _, direct, locked = lock.split(env_file("runner"))
    runner = {canonicalize_name(each.name): each for each in [*direct, *map(Requirement, locked)]}
    wanted = [runner[name] for name in ("snakemake", "jsonschema")]
    for name in args.envs:
        wanted += [runner.get(canonicalize_name(each.name), each) for each in lock.split(env_file(name))[1]]
    command = [
        installer.uv_program(),
        "pip",
        "compile",
        "--quiet",
        "--no-annotate",
        "--no-header",
        "--no-config",
    ]
    command += ["--python-version", args.host, "--python-platform", PLATFORMS[args.platform]["uv"]]
    command += ["--no-emit-index-url", "-"]
    environ = installer.uv_environment(installer.pip_settings(), os.environ)
    text = "\n".join(map(str, wanted))
    done = subprocess.run(command, input=text, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(
            f"no versions of {', '.join(args.envs)} fit Python {args.host}:\n{done.stderr.strip()}"
        )
    return [line for line in done.stdout.splitlines() if line and not line.startswith(("#", "-"))]


def env_file(name: str) -> Path:
    for suffix in (".yaml", ".txt"):
        path = ROOT / "envs" / f"{name}{suffix}"
        if path.is_file():
            return path
    known = ", ".join(
        sorted(path.stem for path in (ROOT / "envs").glob("*.*") if "post-deploy" not in path.name)
    )
    raise BundleError(f"envs/{name}.yaml does not exist; expected one of {known}")


def download(pins: list[str], python: str, tags: list[str], folder: Path) -> None:
    """The wheels of ``pins`` by pip; of what has none, the source, and what the other machine builds it with."""
    base = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    foreign = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
    for tag in tags:
        foreign += ["--platform", tag]
    if not pip([*base, *foreign, "--no-deps", *pins]):
        return
    for pin in pins:  # one of them has no wheel: which one, pip does not say
        without = pip([*base, *foreign, "--no-deps", pin])
        if without:
            before = set(folder.iterdir())
            failure = pip([*base, "--no-deps", f"--no-binary={Requirement(pin).name}", pin])
            if failure:
                raise BundleError(f"{pin}: no wheel for Python {python}, and no source:\n{without}{failure}")
            (made,) = set(folder.iterdir()) - before
            failure = pip([*base, *foreign, *build_requirements(made)])
            if failure:
                raise BundleError(f"{pin} is built from source; what that needs was not found:\n{failure}")


def pip(command: list[str]) -> str:
    """What pip complains of; nothing if it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def build_requirements(archive: Path) -> list[str]:
    """What a source distribution is built with by its pyproject.toml; what pip takes where that says nothing."""
    with tarfile.open(archive) as opened:
        top = opened.getnames()[0].split("/")[0]
        try:
            stream = opened.extractfile(f"{top}/pyproject.toml")
        except KeyError:
            stream = None
        text = stream.read().decode() if stream else ""
    return tomllib.loads(text).get("build-system", {}).get("requires") or ["setuptools", "wheel"]


def crates(args: argparse.Namespace, home: Path) -> None:
    """A CARGO_HOME with the crates that the engines need on the other machine's platform."""
    home.mkdir()
    triple = PLATFORMS[args.platform]["rust"]
    command = ["cargo", "fetch", "--locked", "--quiet", "--target", triple]
    manifest = ["--manifest-path", str(ROOT / "workflow/engines/Cargo.toml")]
    done = subprocess.run(
        [*command, *manifest],
        env=os.environ | {"CARGO_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BundleError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    for unpacked in home.glob("registry/src"):  # cargo unpacks the crates again
        shutil.rmtree(unpacked)


def toolchain(args: argparse.Namespace, folder: Path) -> None:
    """The Rust that runs here, without its documentation; it must be the other machine's kind."""
    triple = PLATFORMS[args.platform]["rust"]
    host = next(
        line.split()[1] for line in run("rustc", "--version", "--verbose").splitlines() if "host:" in line
    )
    if host != triple:
        raise BundleError(f"--engines: rustc here is {host}'s; pack on a machine of {args.platform}")
    root = Path(run("rustc", "--print", "sysroot").strip())
    for name in ("bin", "lib", "libexec"):
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, symlinks=True)


def copy(path: Path, target: Path) -> None:
    if not path.exists():
        raise BundleError(f"--files {path}: no such file or folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, symlinks=True)
    else:
        shutil.copy2(path, target)


def split(content: Path, stem: Path, size: int) -> list[Path]:
    """``content`` as a gzipped archive in files ``stem``.000 and so on, of ``size`` bytes at most each."""
    command = ["tar", "-C", str(content), "--sort=name", "--owner=0", "--group=0", "-czf", "-", "."]
    tar = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert tar.stdout is not None
    pieces = []
    for number, data in enumerate(chunks(tar.stdout, size)):
        pieces.append(stem.with_name(f"{stem.name}.{number:03d}"))
        with open(pieces[-1], "wb") as stream:
            for block in data:
                stream.write(block)
    if tar.wait():
        raise BundleError(f"tar failed with status {tar.returncode}")
    return pieces


def chunks(stream, size: int) -> Iterator[Iterator[bytes]]:
    """The stream's bytes in runs of ``size`` bytes, each in blocks; a run is to be read before the next."""
    first = stream.read(1)
    while first:

        def blocks(left: int = size - 1, begin: bytes = first) -> Iterator[bytes]:
            yield begin
            while left and (block := stream.read(min(left, 1 << 20))):
                left -= len(block)
                yield block

        yield blocks()
        first = stream.read(1)


def sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def run(*command: str) -> str:
    """What a command prints. Raises BundleError with what it said if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BundleError(f"{command[0]} is not on the PATH") from error
    if done.returncode:
        raise BundleError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
