"""Start Snakemake, once what it would end on with a traceback has been looked at.

    snakemake --cores 4 --configfile my.yaml        (.venv/bin/snakemake is snakemake.sh, which calls this)

Snakemake reads files given with --configfile, and asks who its user is, before it reads a Snakefile. So files that are
no text in UTF-8, or no mapping in YAML, and users without a name or a home are told here, in one line each. Python's
UTF-8 mode is on for Snakemake and what it starts, whatever the shell's locale.
"""

import getpass
import os
import sys
from collections.abc import Iterator
from pathlib import Path

OPTIONS = ("--configfile", "--configfiles")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
HOMELESS = "USER=arena HOME=/a/folder/of/yours"


def configfiles(arguments: list[str]) -> Iterator[Path]:
    """The files after --configfile."""
    taking = False
    for word in arguments:
        name, equals, value = word.partition("=")
        if word.startswith("-") and (word == "--" or not word[1:2].isdigit()):
            taking = name in OPTIONS and not equals
            if name in OPTIONS and equals:
                yield Path(value)
        elif taking:
            yield Path(word)


def fault_of(path: Path) -> str | None:
    """Why Snakemake could not take a configuration file, and what to do; None if it can be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"{path}: {error.strerror}; expected a configuration file in YAML, correct the name after --configfile"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = "UTF-16" if data.startswith(UTF16) else f"not UTF-8 (byte {data[error.start]:#04x})"
        line = data[: error.start].count(b"\n") + 1
        return f"{path}: line {line} is {what}; expected a text in UTF-8, save the file as that"
    if not text.strip():
        return f"{path}: empty; expected keys such as `run:`, write one or leave the file out"
    return _fault_of_yaml(path, text)


def _fault_of_yaml(path: Path, text: str) -> str | None:
    import yaml

    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        return f"{path}: {place}{problem}; expected YAML, correct that"
    if not isinstance(root, yaml.MappingNode):
        return f"{path}: no mapping; expected keys at the top level, such as `run:`"
    return None


def fault_of_user() -> str | None:
    """Why Snakemake could not tell whose run this is or where its files go; None if it can."""
    try:
        getpass.getuser()
        home = Path.home()
    except (KeyError, OSError, RuntimeError):
        return (
            f"user id {os.getuid()} has no name or no home in this system's list of users, and Snakemake needs both; "
            f"give them: {HOMELESS} snakemake …"
        )
    if not os.access(home, os.W_OK) and not os.environ.get("XDG_CACHE_HOME"):
        return (
            f"{home}, the home of user id {os.getuid()}, cannot be written, and Snakemake keeps its cache there; "
            f"give another: HOME=/a/folder/of/yours snakemake …"
        )
    return None


def main() -> None:
    arguments = sys.argv[1:]
    faults = [fault_of_user(), *map(fault_of, configfiles(arguments))]
    if told := list(filter(None, faults)):
        for fault in told:
            print(f"snakemake: {fault}", file=sys.stderr)
        sys.exit(1)
    os.execve(
        sys.executable,
        [sys.executable, "-m", "snakemake", *arguments],
        os.environ | {"PYTHONUTF8": "1"},
    )


if __name__ == "__main__":
    main()
