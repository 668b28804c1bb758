"""Run uv with the settings that pip would use: `python installer.py pip install ...`.

uv installs every environment of the project because it is an order of magnitude faster than pip, but
machines behind a mirror are configured for pip. The settings below are taken from `pip config list`
(environment variables and configuration files alike) unless uv's own variable is set.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}
# Settings of uv that say where packages and Pythons come from, and how. Others (a Python of the user's own
# choice, constraints, a date after which nothing counts …) would change what is installed.
KEPT = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_\w+_(USERNAME|PASSWORD)|FIND_LINKS|OFFLINE"
    r"|KEYRING_PROVIDER|INSECURE_HOST|NATIVE_TLS|SYSTEM_CERTS|HTTP_\w+|REQUEST_TIMEOUT|CONCURRENT_\w+|LINK_MODE"
    r"|CACHE_DIR|NO_CACHE|PYTHON_(DOWNLOADS\w*|INSTALL_DIR|INSTALL_MIRROR|CACHE_DIR))"
)
#: What would compile llama.cpp otherwise than everybody's, and so falsify its figures. Where headers and libraries
#: are (CPATH, LIBRARY_PATH) and which compiler it is (CC, CXX) stay.
FLAGS = re.compile(
    r"(C|CXX|CPP|LD|AS|CUDA)FLAGS|NVCC_(PREPEND|APPEND)_FLAGS|SKBUILD_\w+|CMAKE_(BUILD_TYPE|TOOLCHAIN_FILE)|GGML_\w+"
)
CARD = re.compile(r"-DCMAKE_CUDA_ARCHITECTURES=\S+")  # what CMAKE_ARGS may say: docs/gpu.md
LEFT_OUT = re.compile(r"^\s*# without: (\S+)", re.MULTILINE)
BUILD_SETTING = re.compile(r"""\s--config-settings=(?:"([^"]*)"|(\S+))""")
SECTIONS = ["global", "install", ":env:"]  # the later overrides the earlier, as in pip


def left_out(text: str) -> list[str]:
    """Packages that an environment file (its ``text``) leaves out, though others require them.

    One a line: `# without: NAME, WHY`.
    """
    return [name.rstrip(",") for name in LEFT_OUT.findall(text)]


def build_settings(line: str) -> tuple[str, list[str]]:
    """A line of a requirements file: its requirement, and the settings with which to build its package.

    In pip's notation, `name==1.0 --config-settings="key=value"`, which uv reads on its command line only.
    """
    settings = [quoted or plain for quoted, plain in BUILD_SETTING.findall(line)]
    return BUILD_SETTING.sub("", line), settings


def parse_pip_settings(listing: str) -> dict[str, str]:
    """Settings of `pip install` by name, from the text that `pip config list` prints."""
    settings: dict[str, str] = {}
    entries = [line.partition("=") for line in listing.splitlines()]
    for section in SECTIONS:
        for key, _, value in entries:
            owner, _, name = key.rpartition(".")
            if owner == section and value:
                settings[name] = str(ast.literal_eval(value)).strip()
    return settings


def pip_settings() -> dict[str, str]:
    """Settings of `pip install` on this machine. Raises SystemExit if this Python has no pip."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        sys.exit(f"{sys.executable} -m pip config list failed; run `make setup`\n{listing.stderr.strip()}")
    return parse_pip_settings(listing.stdout)


def without_detours(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without what leads pip, uv or Python elsewhere than into the environment that is being made, or what
    is compiled for it to another program.

    PIP_USER is set because `user = true` may also stand in pip's configuration, which a variable overrides.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PYTHON", "UV_", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT"))
        or KEPT.fullmatch(name)
    }
    kept = {name: value for name, value in kept.items() if not FLAGS.fullmatch(name)}
    if "CMAKE_ARGS" in kept:
        kept["CMAKE_ARGS"] = " ".join(CARD.findall(kept["CMAKE_ARGS"]))
    return kept | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}


def uv_environment(
    settings: Mapping[str, str], environ: Mapping[str, str], downloads: bool = False
) -> dict[str, str]:
    """The environment in which to run uv: ``environ`` plus pip's ``settings`` in uv's names.

    Without ``downloads`` only interpreters that are already on the machine are used.
    """
    result = without_detours(environ)
    if not downloads:
        result["UV_PYTHON_DOWNLOADS"] = "never"
    for name, variable in UV_VARIABLES.items():
        value = settings.get(name, "")
        if name == "find-links":
            value = ",".join(place for place in value.split() if usable(place))
        if value and not environ.get(variable):
            result[variable] = value
    return result


def usable(place: str) -> bool:
    """Whether uv can read this --find-links place; pip skips a missing folder, uv would stop at it."""
    if "://" in place or Path(place).exists():
        return True
    print(f"find-links: {place} does not exist, ignored", file=sys.stderr)
    return False


def uv_program() -> str:
    """The uv installed beside the running Python. Raises SystemExit if there is none."""
    program = Path(sys.executable).with_name("uv")
    if not program.is_file():
        sys.exit(f"{program} does not exist: uv installs the environments; run `make setup`")
    return str(program)


if __name__ == "__main__":
    os.execve(uv_program(), ["uv", *sys.argv[1:]], uv_environment(pip_settings(), os.environ))
