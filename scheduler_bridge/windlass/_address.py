"""Where the daemon is: an argument, the environment, or the usual places. No I/O but a look whether a path is there."""

from __future__ import annotations

import ipaddress
import os

from ._errors import InvalidArgument

SOCKET_PATH_BYTES_MAX = 107  # what a sockaddr_un holds
SYSTEM_SOCKET = "/run/windlass/windlass.sock"

Address = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def endpoint_of(address: Address | None = None) -> str:
    """The ZeroMQ endpoint for `ipc://...`, `tcp://host:port` or a path; None: the first of the usual places."""
    if address is None:
        address = os.environ.get("WINDLASS_LOCAL__SOCKET") or _usual_place()
    text = os.fsdecode(address)
    if not text:
        raise _refusal(text, "give ipc://PATH, tcp://HOST:PORT or the path of the daemon's socket")
    if text.startswith("tcp://"):
        return tcp_endpoint_of(text)
    if "://" in text and not text.startswith("ipc://"):
        raise _refusal(text, "known are ipc://PATH, tcp://HOST:PORT and plain paths")
    path = os.path.abspath(text.removeprefix("ipc://"))
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise _refusal(text, f"the path of a socket has at most {SOCKET_PATH_BYTES_MAX} bytes")
    return f"ipc://{path}"


def tcp_endpoint_of(address: str) -> str:
    """Checks `tcp://host:port`; port 0 is for whoever binds."""
    host, colon, port = address.removeprefix("tcp://").rpartition(":")
    if not address.startswith("tcp://") or not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise _refusal(address, "give tcp://HOST:PORT")
    return address


def host_of(endpoint: str) -> str:
    """The host of `tcp://host:port`, without brackets."""
    return endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _usual_place() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    own = os.path.join(runtime, "windlass.sock") if runtime else ""
    if own and (os.path.exists(own) or not os.path.exists(SYSTEM_SOCKET)):
        return own
    return SYSTEM_SOCKET


def _refusal(value: str, allowed: str) -> InvalidArgument:
    return InvalidArgument(f"address = {value!r}: {allowed}", side="options", field="address", value=value)
