"""Make a virtual environment of the Python that envs/ is pinned for, whatever Python runs this (3.9 or later).

    python3 workflow/deploy/bootstrap.py .venv

The Python is, in this order: the one that runs this; one that pyenv keeps; one that uv finds on this machine; one that
uv downloads; one that conda installs. The environment gets pip (other programs read its settings) and the pinned uv.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -I` leaves it out
import installer

from arena import places

PYTHON = "3.13"  # every package in envs/ is pinned for it
ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the environment; what is there is replaced")
    parser.add_argument("--own", action="store_true", help="say so if this Python is not the one to be used")
    args = parser.parse_args()
    if why := places.refusal("the checkout", ROOT):
        sys.exit(why)
    environ = installer.without_detours(os.environ)
    own = str(Path(sys.executable).resolve())  # not a link in the folder, if that is what runs this
    ours = sys.version_info[:2] == tuple(map(int, PYTHON.split(".")))
    if args.own and not ours:
        say(f"{sys.executable} is Python {'.'.join(map(str, sys.version_info[:2]))}; looking for {PYTHON}")
    if ours and has("venv") and has("ensurepip"):
        shutil.rmtree(args.folder, ignore_errors=True)
        run([own, "-m", "venv", str(args.folder)], environ)
    else:
        with tempfile.TemporaryDirectory(prefix="arena-uv-") as temporary:
            by_uv(args.folder, own if ours else of_pyenv(environ) or PYTHON, environ, Path(temporary))
    run([str(args.folder / "bin" / "python"), "-m", "pip", "install", "--quiet", pinned_uv()], environ)


def by_uv(folder: Path, python: str, environ: dict[str, str], temporary: Path) -> None:
    """Make ``folder`` by uv, of the interpreter ``python`` or of that version; conda's if uv has none.

    What is there goes only once a uv has been found: pip and uv may be its own.
    """
    settings = installer.pip_settings() if has("pip") else {}
    environ = installer.uv_environment(settings, environ, downloads=True)
    found = uv(temporary, environ)
    if Path(found).absolute().is_relative_to(folder.absolute()):
        found = shutil.copy(found, temporary)
    shutil.rmtree(folder, ignore_errors=True)
    command = [found, "venv", "--quiet", "--no-project", "--no-config", "--seed"]
    if attempt([*command, "--python", python, str(folder)], environ):
        return
    conda = shutil.which("conda")
    own = folder.absolute().with_name(f"{folder.name}-python")  # lives as long as the environment made of it
    if conda:
        say(f"trying {conda}")
        shutil.rmtree(own, ignore_errors=True)
        if attempt([conda, "create", "--quiet", "--yes", "--prefix", str(own), f"python={PYTHON}"], environ):
            run([*command, "--python", str(own / "bin" / "python"), str(folder)], environ)
            return
    sys.exit(
        f"Python {PYTHON} is not on this machine, and could not be downloaded (above). Install it, for example "
        f"with your system's packages, pyenv or conda; or name it: make PYTHON=/path/to/python{PYTHON}; or name a "
        "mirror of python-build-standalone's releases in UV_PYTHON_INSTALL_MIRROR (a URL, file:// too)"
    )


def of_pyenv(environ: dict[str, str]) -> str | None:
    """The newest release of the pinned Python that pyenv keeps; its shims start only those that the user has chosen."""
    root = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [
        path
        for path in root.glob(f"versions/{PYTHON}*/bin/python{PYTHON}")
        if attempt([str(path), "-I", "-c", ""], environ)
    ]
    return (
        str(max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parts[-3])]))
        if found
        else None
    )


def uv(temporary: Path, environ: dict[str, str]) -> str:
    """A uv: the one on PATH, else the pinned one, installed in ``temporary`` by this Python's pip."""
    if found := shutil.which("uv"):
        return found
    if not has("pip"):
        sys.exit(
            f"{sys.executable} has neither pip nor what a Python {PYTHON} with its venv module would have, and uv is "
            f"not on PATH; install one of them (on Debian and Ubuntu: python3-pip, or python{PYTHON}-venv)"
        )
    run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(temporary), pinned_uv()], environ)
    return str(temporary / "bin" / "uv")


def pinned_uv() -> str:
    """The requirement `uv==…` of envs/runner.txt."""
    return re.search(r"(?m)^uv==\S+", (ROOT / "envs" / "runner.txt").read_text(encoding="utf-8"))[0]


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def attempt(command: list[str], environ: dict[str, str]) -> bool:
    return subprocess.run(command, env=environ, check=False).returncode == 0


def run(command: list[str], environ: dict[str, str]) -> None:
    """Run ``command``, whose messages are the user's. Raises SystemExit if it fails."""
    if not attempt(command, environ):
        sys.exit(f"failed: {' '.join(command)}{by_socks(environ) if 'pip' in command else ''}")


def by_socks(environ: dict[str, str]) -> str:
    """What to add where pip failed and would have had to ask through a SOCKS proxy; "" if not."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        if value := environ.get(name, ""):
            if not value.startswith("socks") or has("socks"):
                return ""
            return (
                f"\n{name} names a SOCKS proxy, through which pip asks only where PySocks is installed; name an HTTP "
                f"proxy in HTTPS_PROXY, or unset {name} for `make setup`"
            )
    return ""


def say(message: str) -> None:
    print(f"arena: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
