"""Sources and targets as they go to an engine: bytes, either an absolute path or a URL.

A plain path always begins with `/` there, so the two cannot be taken for one another. Plain paths are never
percent-decoded, `file:` URLs once; relative paths are joined to the working directory without collapsing anything.
Faults are ValueErrors whose text says why and what to do; the caller adds where.
"""

from __future__ import annotations

import os
import re
from typing import Any

SOURCE_SCHEMES = frozenset({b"http", b"https", b"s3", b"windlass"})
TARGET_SCHEMES = frozenset({b"s3", b"windlass"})
TEMPORARY_PREFIX = b".windlass-"

_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://")
_FILE = re.compile(rb"file:", re.IGNORECASE)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")


def wire_source(path: Any, cwd: bytes | None) -> bytes:
    """`cwd` None: relative paths are refused (they would mean something else where the daemon runs)."""
    return _wire(path, cwd, SOURCE_SCHEMES, "source")


def wire_target(path: Any, cwd: bytes | None) -> bytes:
    wire = _wire(path, cwd, TARGET_SCHEMES, "target")
    names = [name for name in wire.split(b"/") if name not in (b"", b".")]
    if is_local(wire) and not names:
        raise ValueError("it is the top folder; name what is to be made")
    if is_local(wire) and any(name.startswith(TEMPORARY_PREFIX) for name in names):
        raise ValueError("names that begin with .windlass- are kept for temporaries; choose another name")
    return wire


def is_local(wire: bytes) -> bool:
    return wire.startswith(b"/")


def _wire(path: Any, cwd: bytes | None, schemes: frozenset[bytes], what: str) -> bytes:
    raw = _raw(path)
    if not raw:
        raise ValueError(f"it is empty; give the path or URL of the {what}")
    if b"\0" in raw:
        raise ValueError("it holds a NUL byte, which no path can")
    if not isinstance(path, os.PathLike):  # a PathLike is a path, whatever it is called
        if _FILE.match(raw):
            return _file_url(raw)
        if url := _SCHEME.match(raw):
            return _url(raw, url.group(1).lower(), schemes, what)
    return _absolute(raw, cwd)


def _raw(path: Any) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError(
            "it holds characters that no file name has here (lone surrogates or an encoding that lacks them)"
        ) from None
    except TypeError:
        raise ValueError(f"it is of type {type(path).__name__}; give a str, bytes or os.PathLike") from None


def _absolute(raw: bytes, cwd: bytes | None) -> bytes:
    if raw.startswith(b"/"):
        return raw
    if cwd is None:
        raise ValueError("it is a relative path, and the node has another working directory; give an absolute one")
    return cwd.rstrip(b"/") + b"/" + raw


def _url(raw: bytes, scheme: bytes, schemes: frozenset[bytes], what: str) -> bytes:
    if scheme not in schemes:
        known = ", ".join(sorted(name.decode() + "://" for name in schemes))
        raise ValueError(
            f"a {what} cannot be a {scheme.decode()}:// URL; it may be a path, file://, {known} "
            "(a file of that name is written with ./ before it)"
        )
    rest = raw[len(scheme) + 3 :]
    host, _, key = rest.partition(b"/")
    if not host:
        raise ValueError("the URL names no host, bucket or node")
    if scheme in (b"s3", b"windlass") and not key:
        raise ValueError("the URL names nothing beneath its bucket or node")
    return scheme + b"://" + rest


def _file_url(raw: bytes) -> bytes:
    rest = raw[len(b"file:") :]
    for mark in (b"?", b"#"):
        if mark in rest:
            raise ValueError(
                f"a file: URL has no {mark.decode()!r}; write it as %{mark.hex().upper()}, or give the path"
            )
    if rest.startswith(b"//"):
        host, slash, path = rest[2:].partition(b"/")
        if host.lower() not in (b"", b"localhost"):
            raise ValueError("a file: URL names this machine: its host is empty or localhost")
        rest = slash + path
    if not rest.startswith(b"/"):
        raise ValueError("a file: URL holds an absolute path; a file of that name is written with ./ before it")
    return _ESCAPE.sub(_unescape, rest)


def _unescape(escape: re.Match[bytes]) -> bytes:
    digits = escape.group(1)
    if digits is None:
        raise ValueError("a % in a file: URL is followed by two hex digits; write %25 for the sign itself")
    byte = bytes([int(digits, 16)])
    if byte in (b"\0", b"/"):
        raise ValueError(f"%{digits.decode()} cannot stand in a file: URL; no name holds that byte")
    return byte
