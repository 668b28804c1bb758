"""A hub over huggingface-hub: one pinned revision's files, checked, and refusals that say what to do.

The client honours HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE. Nothing here needs numpy, so that
the environment of the download is small.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, errors, get_token, hf_hub_download, try_to_load_from_cache
from huggingface_hub.utils import tqdm

from arena import files
from arena.weights import surroundings

# Plain HTTP resumes where it was cut, and is what the tests exercise; for Xet these files are too small.
constants.HF_HUB_DISABLE_XET = True
constants.HF_HUB_DISABLE_TELEMETRY = True
constants.DOWNLOAD_CHUNK_SIZE = 2**20  # what a cut connection costs, and a step of the progress

ASK_TIMEOUT_S = 10.0
REPORT_EVERY_S = 2.0
TRY_AGAIN = (408, 429)  # beside every 5xx
Result = TypeVar("Result")


class HubError(Exception):
    """The files cannot be had; the message says why and what to do."""


class NoHubError(HubError):
    """Nothing that is a hub answered."""


class LocalError(HubError):
    """What is wrong lies here, in a variable or a full disk: nothing is to be remembered of it."""


class Patience(NamedTuple):
    """How often something is tried that may pass by itself, and the seconds before the second time."""

    attempts: int
    backoff_s: float


class Progress(tqdm):
    """Progress as lines, which a log file can hold as well as a terminal."""

    file = ""
    disable: bool

    def __init__(self, *args: Any, **options: Any) -> None:
        silent = options.get("disable") is True  # asked for; None would mean: unless on a terminal
        super().__init__(*args, **(options | {"disable": silent, "mininterval": REPORT_EVERY_S}))

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self.total and self.n:
            share = f"{100 * self.n / self.total:.0f} %"
            print(f"{self.file}: {share} of {self.total / 1e6:.1f} MB", file=sys.stderr, flush=True)

    def close(self) -> None:
        if not self.disable:
            self.display()
            self.disable = True
            self._decr_instances(self)


def fetch(
    source: Mapping[str, Any], seen: Mapping[str, str], first: Patience, patience: Patience
) -> dict[str, Path]:
    """Paths in the client's cache of every file of ``source`` (repository, revision, files).

    Each has the sha256 that ``source`` pins or, if it pins none, that ``seen`` remembers from the first
    download, by file name. Files that the cache holds are not asked for again. ``first`` is the
    patience with a hub that does not answer the first question, ``patience`` that afterwards.

    Raises NoHubError if files are missing and no hub answers, HubError for everything else.
    """
    repository, revision = source["repository"], source["revision"]
    wanted = {file["name"]: file["sha256"] or seen.get(file["name"]) for file in source["files"]}
    paths = {}
    for name, digest in wanted.items():
        cached = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(cached, str) and _sound(Path(cached), digest):
            paths[name] = Path(cached)
    missing = [name for name in wanted if name not in paths]
    if missing and (wrong := surroundings.fault(os.environ)):
        raise LocalError(wrong)
    if missing:
        check_offer(source, wanted, ask(repository, revision, first, patience))
    for name in missing:
        paths[name] = _one(name, source, patience)
        if not _sound(paths[name], digest := wanted[name]):
            raise HubError(
                f"{repository}@{revision}: {name} has not the expected sha256 {digest}; it is thrown away. "
                "Run again; if that does not help, the hub serves another file under this revision"
            )
    return paths


def _one(name: str, source: Mapping[str, Any], patience: Patience) -> Path:
    """Download one file of a hub that has answered: what fails now is no lack of a hub."""
    repository, revision = source["repository"], source["revision"]

    class Named(Progress):
        file = name

    def get() -> str:
        return str(hf_hub_download(repository, name, revision=revision, tqdm_class=Named))

    try:
        path = Path(_told(get, patience, f"{repository}@{revision}: {name}", source))
    except NoHubError as error:
        raise HubError(f"{error}; run again, files that came whole are kept") from error
    if path.parent.name != revision:
        raise HubError(f"{repository}: the hub gave {name} of {path.parent.name}, not of {revision}")
    return path


def _sound(path: Path, digest: str | None) -> bool:
    """Whether ``path`` has the sha256 ``digest``, if one is known; it leaves the cache if not."""
    if digest is None or files.sha256(path) == digest:
        return True
    print(f"{path.name}: not the expected bytes; removed from the cache", file=sys.stderr)
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return False


def ask(repository: str, revision: str, first: Patience, patience: Patience) -> Any:
    """The hub's description of a revision: its commit (``sha``) and files (``siblings``).

    Raises NoHubError if no hub answers, HubError if it has no such revision or does not show it.
    """
    source = {"repository": repository, "revision": revision}

    def question() -> Any:
        return HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=ASK_TIMEOUT_S)

    try:
        return _told(question, patience, f"{repository}@{revision}", source, unanswered=first)
    except (json.JSONDecodeError, TypeError) as error:
        raise NoHubError(f"{endpoint()} answers, but not as a hub does") from error


def check_offer(source: Mapping[str, Any], wanted: Mapping[str, str | None], offer: Any) -> None:
    """Raise HubError before anything is downloaded where the hub's description contradicts what is wanted."""
    where = f"{source['repository']}@{source['revision']}"
    if offer.sha != source["revision"]:
        raise HubError(f"{where}: the hub takes this revision for {offer.sha}; pin the commit itself")
    offered = {file.rfilename: file for file in offer.siblings or []}
    for name, digest in wanted.items():
        if name not in offered:
            usable = sorted(file for file in offered if file.endswith((".safetensors", ".json")))
            raise HubError(f"{where}: no file {name}; it has {', '.join(usable) or 'no safetensors or JSON'}")
        stored = offered[name].lfs
        if stored is not None and digest is not None and stored.sha256 != digest:
            raise HubError(
                f"{where}: the hub has {name} with sha256 {stored.sha256}, expected was {digest}; nothing "
                "was downloaded. If the new one is right, pin it (pin_weights.py prints the lines)"
            )


def _told(
    action: Callable[[], Result],
    patience: Patience,
    what: str,
    source: Mapping[str, Any],
    unanswered: Patience | None = None,
) -> Result:
    """``action()``, tried again while what fails may pass; its errors as HubError, in words."""
    attempt = 1
    while True:
        try:
            return action()
        except (errors.HfHubHTTPError, httpx2.TransportError, OSError) as error:
            cause = _cause(error)
            limit = unanswered if unanswered and isinstance(cause, httpx2.TransportError) else patience
            if attempt >= limit.attempts or not _may_pass(cause):
                raise _in_words(cause, what, source) from error
            wait = limit.backoff_s * 2 ** (attempt - 1)
            tries = f"attempt {attempt} of {limit.attempts}"
            print(f"{what}: {_short(cause)} ({tries}); again in {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(wait)
            attempt += 1


def _cause(error: BaseException) -> BaseException:
    """The client wraps what happened in LocalEntryNotFoundError when the cache cannot help."""
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else None
    return cause or error


def _incomplete(error: BaseException) -> bool:
    """The client's own complaint about a file that is too short: an OSError without a number."""
    return type(error) is OSError and error.errno is None


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        return status in TRY_AGAIN or status >= 500
    return isinstance(error, httpx2.TransportError) or _incomplete(error)


def _in_words(error: BaseException, what: str, source: Mapping[str, Any]) -> HubError:
    repository, page = source["repository"], f"{endpoint()}/{source['repository']}"
    token = "the token given (HF_TOKEN, or that of `hf auth login`)" if get_token() else "no token"
    access = "set HF_TOKEN, or use `hf auth login`"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return NoHubError(f"{what}: not in the cache ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE is set")
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{what}: access is granted on request. Ask for it at {page}, then {access} ({token} was shown)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{what}: {repository} no longer has this revision; see {page}/commits/main")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return HubError(f"{what}: this revision has no such file; see {page}/tree/{source['revision']}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return HubError(f"{what}: {endpoint()} has no such repository for {token}; correct it, or {access}")
    if isinstance(error, errors.HfHubHTTPError):
        return _status_in_words(error, what, token)
    if isinstance(error, httpx2.TransportError):
        if wrong := _wrong_proxy(error):
            return LocalError(wrong)
        return NoHubError(f"{what}: {endpoint()} does not answer ({_short(error)})")
    if _incomplete(error):
        return HubError(f"{what}: it arrived incomplete and is thrown away; run again ({_short(error)})")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalError(
            f"{what}: no space left in {constants.HF_HUB_CACHE}; free some, or let HF_HOME name a larger disk"
        )
    return HubError(f"{what}: {_short(error)}")


def _wrong_proxy(error: httpx2.TransportError) -> str | None:
    """What is wrong with the proxy, if it is the reason for ``error``; None if it is not."""
    address = str(constants.ENDPOINT)
    if isinstance(error, httpx2.ProxyError) and "407" in str(error):
        return surroundings.refused_by_proxy(os.environ, address)
    return surroundings.unreachable_proxy(os.environ, address)


def _status_in_words(error: errors.HfHubHTTPError, what: str, token: str) -> HubError:
    status, headers = error.response.status_code, error.response.headers
    said = headers.get("X-Error-Message") or error.response.reason_phrase
    if status == 407 and (wrong := surroundings.refused_by_proxy(os.environ, str(constants.ENDPOINT))):
        return LocalError(wrong)
    if status in (401, 403) and ("X-Error-Message" in headers or "X-Error-Code" in headers):
        return HubError(f"{what}: refused to {token} (HTTP {status}: {said})")
    if status in TRY_AGAIN or status >= 500:
        return NoHubError(f"{what}: {endpoint()} is out of order (HTTP {status}: {said})")
    if "X-Error-Code" not in headers:  # a proxy, or a captive portal
        return NoHubError(f"{what}: {endpoint()} answers HTTP {status} ({said}), but not as a hub does")
    return HubError(f"{what}: HTTP {status} ({said})")


def _short(error: BaseException) -> str:
    """The first line of an error, with its type, which is often all that says anything."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def endpoint() -> str:
    """The hub's address, without a name and password that it may hold."""
    parts = urlsplit(str(constants.ENDPOINT))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def without_token(text: str) -> str:
    """``text`` with the user's token, should it occur, blotted out."""
    token = get_token()
    return text.replace(token, "(token)") if token else text
