"""Sockets that speak CURVE: who dials with which key, and the server's options. See `_door` for who is let in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

import zmq
from zmq.utils import z85

from ._address import host_of, is_loopback
from ._errors import InvalidArgument
from ._keys import AllowedFile, Folder, OwnKey, Role, check_public, load_own

ZAP_DOMAIN = b"windlass"
_UNSAFE = "beyond loopback nobody would know who answers, and anyone could listen"
Context = zmq.Context[zmq.Socket[bytes]]


@dataclass
class Credentials:
    """What a socket that dials needs. Where the other side has several keys allowed, they take turns."""

    own: OwnKey
    servers: list[bytes] = field(repr=False)

    def protect(self, socket: zmq.Socket[bytes]) -> None:
        """To be called before connect."""
        server = self.servers.pop(0)
        self.servers.append(server)
        socket.curve_serverkey = server
        socket.curve_publickey = self.own.public
        socket.curve_secretkey = self.own.secret


def protect_server(socket: zmq.Socket[bytes], own: OwnKey) -> None:
    """Whoever connects has to hold a key that the authenticator of the socket's context lets in."""
    socket.curve_server = True
    socket.curve_secretkey = own.secret
    socket.zap_domain = ZAP_DOMAIN
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def curve_bytes(frames: Iterable[int]) -> int:
    """What frames of these sizes take on a connection (rfc.zeromq.org/spec/26): a command MESSAGE each."""
    around = 8 + 8 + 16 + 1  # name, nonce, authenticator, flags
    return sum(around + size + (9 if around + size > 255 else 2) for size in frames)


def check_pair(own: OwnKey) -> OwnKey:
    if zmq.curve_public(z85.encode(own.secret)) != z85.encode(own.public):
        raise InvalidArgument(
            f"the public and the secret half of the key {own.name} do not belong together: make a new one with "
            "`windlass keys new --replace`",
            side="options",
            field="keys",
        )
    return own


def folder_for(endpoint: str, keys: Folder | None, insecure: bool | None, hint: str) -> Folder | None:
    """The folder of keys to use at an endpoint: the one given, else $WINDLASS_SECURITY__KEYS; None for plain.

    Refuses plain tcp beyond loopback unless `insecure` (None: what $WINDLASS_SECURITY__INSECURE says).
    """
    if not endpoint.startswith("tcp://"):
        return None
    keys = keys or os.environ.get("WINDLASS_SECURITY__KEYS") or None
    if insecure is None:
        insecure = os.environ.get("WINDLASS_SECURITY__INSECURE", "").lower() == "true"
    if keys is None and not insecure and not is_loopback(host_of(endpoint)):
        raise InvalidArgument(
            f"address = {endpoint!r}: {hint}; give keys=FOLDER, which `windlass keys` makes, or say insecure=True "
            "where the network is trusted",
            side="options",
            field="address",
            value=endpoint,
        )
    return keys


def dialling(
    endpoint: str, keys: Folder | None, server: str | None, insecure: bool | None, role: Role
) -> Credentials | None:
    """What a client dials with; `role` is the other side's. None for ipc, and for plain tcp where that is allowed."""
    if host_of(endpoint) == "*":
        insecure = True  # nobody can be dialled there, as whoever tries is told
    folder = folder_for(endpoint, keys, insecure, _UNSAFE)
    return None if folder is None else _credentials_in(folder, server, role)


def role_towards_node(credentials: Credentials | None) -> str:
    """As what to say HELLO to a daemon: an observer's key may not be a client."""
    return "observer" if credentials is not None and credentials.own.role == Role.OBSERVER else "client"


def _credentials_in(folder: Folder, server: str | None, role: Role) -> Credentials:
    """`server`: the name that the list gives to the other side, or its public key; None: the only one of its role."""
    own = check_pair(load_own(folder))
    allowed = AllowedFile(folder)
    known = allowed.of_role(role)
    if server is not None and len(server) == 64:
        public = check_public(server)
        entry = allowed.keys.get(public)
        if entry is not None and entry.role == Role.REVOKED:
            raise _unclear(f"the key {server[:8]}... of {entry.name} was revoked", allowed)
        return Credentials(own, [public])
    names = {key.name for key in known}
    if server is None and len(names) > 1:
        raise _unclear(f"server=... is to tell which of {', '.join(sorted(names))} is meant", allowed)
    servers = [key.public for key in known if server in (None, key.name)]
    if not servers:
        raise _unclear(f"no key of role {role}{'' if server is None else f' and name {server}'} is in it", allowed)
    return Credentials(own, servers)


def _unclear(what: str, allowed: AllowedFile) -> InvalidArgument:
    advice = "`windlass keys allow` adds the other side's key"
    return InvalidArgument(f"{allowed.path}: {what}; {advice}", side="options", field="keys")
