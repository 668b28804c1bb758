"""What every tool begins with: workflow/scripts, whose packages the tools share with the rules, on the path; output
that no locale of the shell's ends; and how Snakemake is started.
"""

import codecs
import sys
from pathlib import Path

WORKFLOW = Path(__file__).resolve().parents[1]
SNAKEMAKE = [sys.executable, str(WORKFLOW / "deploy" / "start.py")]
#: What stands for a sign that the terminal's encoding has not; any other is written by its number.
SUBSTITUTES = {"→": "->", "–": "-", "—": "-", "≈": "~", "×": "x", "…": "...", "’": "'"}  # noqa: RUF001


def substituted(error: UnicodeError) -> tuple[str, int]:
    """Signs for those that an encoding lacks (an error handler of codecs)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(SUBSTITUTES.get(sign, f"\\u{ord(sign):04x}") for sign in signs), error.end


sys.path.insert(0, str(WORKFLOW / "scripts"))
codecs.register_error("substituted", substituted)
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):  # not where a test stands in for it
        stream.reconfigure(errors="substituted")


def split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    """A tool's own arguments, and those after `--`, which are Snakemake's."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:cut], arguments[cut + 1 :]
