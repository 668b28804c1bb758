"""Secrets by their value: what a shell's variables hold is replaced wherever something is written down.

A process of the arena is not given them (arena.environment). It may still find one elsewhere, in a file of the home
directory for example, and print it as it fails; and its log's end goes into tables that people send to others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from arena import files

#: A shorter value is no secret worth the name, and would be replaced in the middle of words.
SHORTEST = 8
#: Parts of a variable's name, between underscores, that make it one of a secret.
WORDS = frozenset(
    [
        "TOKEN",
        "TOKENS",
        "KEY",
        "KEYS",
        "APIKEY",
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "PWD",
        "PAT",
        "JWT",
        "AUTH",
        "CREDENTIAL",
        "CREDENTIALS",
        "COOKIE",
        "NETRC",
    ]
)
ENDINGS = ("TOKEN", "APIKEY", "SECRET", "PASSWORD", "PASSWD")
#: They look like one and hold a folder.
HARMLESS = frozenset(("PWD", "OLDPWD"))
#: A name and a password, or a token, before the host of an address.
IN_URL = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@'\"<>]+@")
#: What hubs and clouds give out can be told by its form.
BY_FORM = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|AKIA[A-Z0-9]{16})\b"
)


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret, as its name says."""
    upper = name.upper()
    if upper in HARMLESS:
        return False
    return bool(WORDS & set(upper.split("_"))) or upper.endswith(ENDINGS)


class Redactor:
    """Replaces the secrets of ``environ``, by default this process's, in texts: ``HF_TOKEN``'s by ``[HF_TOKEN]``."""

    def __init__(self, environ: Mapping[str, str] | None = None):
        environ = os.environ if environ is None else environ
        self.names: dict[str, str] = {}
        for name, value in environ.items():
            if is_secret(name):
                for written in (value, value.strip(), quote(value, safe="")):
                    if len(written) >= SHORTEST:
                        self.names.setdefault(written, name)
        longest = sorted(self.names, key=len, reverse=True)  # one may hold another
        self.pattern = re.compile("|".join(map(re.escape, longest))) if longest else None

    def text(self, text: str) -> str:
        """``text`` without secrets, and without those that stand in addresses."""
        if self.pattern:
            text = self.pattern.sub(lambda found: f"[{self.names[found[0]]}]", text)
        return BY_FORM.sub("[secret]", IN_URL.sub(r"\1[secret]@", text))

    def value(self, value: Any) -> Any:
        """JSON values without secrets in any text, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list):
            # Durations, a hundred thousand of them, need no look each.
            return value if value and isinstance(value[0], int) else [self.value(each) for each in value]
        return value

    def file(self, path: Path) -> None:
        """Replace secrets in a text file, if it holds any."""
        with open(path, "rb") as stream:
            if not any(self.text(line) != line for line in map(_decoded, stream)):
                return
            stream.seek(0)
            with files.replacing(path) as temporary, open(temporary, "wb") as written:
                written.writelines(
                    self.text(_decoded(line)).encode(errors="surrogateescape") for line in stream
                )


def _decoded(line: bytes) -> str:
    return line.decode(errors="surrogateescape")
