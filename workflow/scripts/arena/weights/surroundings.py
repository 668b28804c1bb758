"""What of the environment's variables a hub cannot be asked with: its address, proxies, certificates.

Such a mistake must not look like a machine without a hub, which `weights: auto` would remember. Standard library only:
Snakemake asks before a run begins.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SCHEMES = ("http", "https", "socks5", "socks5h")
ANSWER_S = 5.0


def fault(environ: Mapping[str, str]) -> str | None:
    """The first variable with which no hub can be asked, and why, in a line; None if there is none."""
    return _endpoint(environ) or _certificates(environ) or _proxies(environ)


def unreachable_proxy(environ: Mapping[str, str], endpoint: str) -> str | None:
    """Why the proxy through which ``endpoint`` is asked does not work, in a line; None if it does, or there is none."""
    found = proxy_for(environ, endpoint)
    if found is None:
        return None
    name, address = found
    parts = urlsplit(address)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 1080)
        socket.create_connection((parts.hostname or "", port), timeout=ANSWER_S).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{name}={shown(address)}: nothing answers there ({why}); correct the proxy, or unset {name}"
    return None


def refused_by_proxy(environ: Mapping[str, str], endpoint: str) -> str | None:
    """What to say where the proxy wants to know who asks (status 407); None if there is no proxy."""
    found = proxy_for(environ, endpoint)
    if found is None:
        return None
    name, address = found
    return f"{name}={shown(address)}: the proxy wants a name and a password (407); give {name} those that it knows"


def through(environ: Mapping[str, str]) -> str:
    """What to add where nothing was reached and proxies are named; "" if none is."""
    named = (spelled for proxy in PROXIES for spelled in (proxy, proxy.upper()) if environ.get(spelled))
    found = ", ".join(f"{name}={shown(environ[name])}" for name in named)
    return f"; asked through {found}: correct or unset that" if found else ""


def proxy_for(environ: Mapping[str, str], endpoint: str) -> tuple[str, str] | None:
    """The variable that names the proxy through which ``endpoint`` is asked, and its value with a scheme."""
    parts = urlsplit(endpoint)
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for spelled in (name, name.upper()):  # as urllib: the small letters go first
            if environ.get(spelled):
                excluded = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
                if proxy_bypass_environment(parts.hostname or "", {"no": excluded}):
                    return None
                return spelled, with_scheme(environ[spelled])
    return None


def with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def shown(address: str) -> str:
    """An address without the name and the password that it may hold."""
    before, found, after = address.partition("://")
    place = (after if found else before).rpartition("@")[2]
    return f"{before}://{place}" if found else place


def _endpoint(environ: Mapping[str, str]) -> str | None:
    given = environ.get("HF_ENDPOINT", "")
    try:
        parts = urlsplit(given)
        if not given or (parts.scheme in ("http", "https") and parts.hostname and parts.port != 0):
            return None
    except ValueError:  # of a port or an address in brackets
        pass
    return f"HF_ENDPOINT={shown(given)}: no address of a hub; write https://… or http://…, or unset it"


def _proxies(environ: Mapping[str, str]) -> str | None:
    if "*" in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").replace(" ", "").split(","):
        return None
    for name in (spelled for proxy in PROXIES for spelled in (proxy, proxy.upper())):
        given = environ.get(name)
        if not given:
            continue
        where = f"{name}={shown(given)}"
        try:
            parts = urlsplit(with_scheme(given))
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.scheme not in SCHEMES:
            return f"{where}: no address of a proxy; write http://host:port, or unset {name}"
        if parts.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
            return (
                f"{where}: a SOCKS proxy, and hubs are asked through HTTP proxies only; name one, or unset {name} "
                "for this run"
            )
    return None


def _certificates(environ: Mapping[str, str]) -> str | None:
    for name in FILES:
        given = environ.get(name)
        if not given:
            continue
        if Path(given).is_dir() and name != "SSL_CERT_FILE":
            continue
        if not Path(given).is_file():
            return f"{name}={given}: there is no such file; name the certificates' file, or unset {name}"
        try:
            ssl.create_default_context(cafile=given)
        except (OSError, ssl.SSLError):
            return f"{name}={given}: holds no certificates to be read (PEM); name a file that does, or unset {name}"
    folders = environ.get("SSL_CERT_DIR", "")
    if folders and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        return f"SSL_CERT_DIR={folders}: there is no such directory; name the certificates' directory, or unset it"
    return None
