"""Where the arena and its runs may lie: what a shell, `make`, Snakemake or a compiler reads in a path refuses it.

Read by `make setup` too, with whatever Python there is: nothing here is younger than Python 3.9.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

#: Spaces and quotation marks end a word for the compilers that frameworks start, braces are Snakemake's wildcards,
#: a colon parts the entries of PATH, and the others mean something to a shell.
UNUSABLE = re.compile(r"[\s'\"`$\\{}:;&|<>()*?\[\]!#]")
SOURCES = (
    "*.py",
    "*.rs",
    "*.toml",
    "workflow",
    "config",
    "envs",
    "profiles",
)  # what, if it is new, changes a run


def refusal(what: str, path: Path) -> str | None:
    """Why ``what`` (the checkout, --directory …) may not lie at ``path``, in a line; None if it may."""
    found = UNUSABLE.search(str(path))
    if not found:
        return None
    return (
        f"{what}: {str(path)!r} has {found[0]!r} in it, with which programs that the arena starts fail or do something "
        "else; use a path of letters, digits, `-`, `_`, `.` and `/`"
    )


def made_elsewhere(environment: Path) -> str | None:
    """For which checkout `make setup` made the environment ``.venv``, if that is not where it lies; else None.

    One that a link leads to, and one that does not say, are taken as they are.
    """
    try:
        made_for = (environment / "ready").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    here = environment.resolve().parent
    return made_for if made_for and Path(made_for) != here else None


def commit(checkout: Path) -> str | None:
    """The git commit of the arena at ``checkout``, ``-dirty`` if files differ from it or new sources lie beside them.

    None where ``checkout`` is not the top of a repository: one around it, or that GIT_DIR names, is another's.
    """
    top = _git(checkout, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != checkout.resolve():
        return None
    found = _git(checkout, "describe", "--always", "--dirty", "--abbrev=12")
    if not found or found.endswith("-dirty"):
        return found or None
    new = _git(checkout, "ls-files", "--others", "--exclude-standard", "--", *SOURCES)
    return f"{found}-dirty" if new else found


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, in one text; None where there is no git, or it refuses."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
