"""Sockets that speak CURVE: who dials with which key, and the server's options. See `_door` for who is let in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

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
    """What dials to one other side need: our key, and which of the list may be the other's.

    That is every key of a role and a name, or one given by itself, which the list may revoke.
    """

    own: OwnKey
    allowed: AllowedFile
    role: Role
    name: str = ""
    pinned: bytes | None = None
    answered: bytes | None = None  # the key that the other side had last

    def servers(self) -> list[bytes]:
        """The keys that the other side may have as the list was read last, the one that answered last first."""
        if self.pinned is not None:
            known = self.allowed.keys.get(self.pinned)
            return [] if known is not None and known.role == Role.REVOKED else [self.pinned]
        found = [key.public for key in self.allowed.of_role(self.role) if key.name == self.name]
        return sorted(found, key=lambda public: public != self.answered)

    def gone(self) -> str:
        """What there is to say where the other side is not believed any more."""
        if self.pinned is not None:
            return f"the key {_short(self.pinned)} was revoked in {self.allowed.path}"
        return f"{self.allowed.path} allows no such key of role {self.role} and name {self.name} (any more)"

    def describe(self, tried: list[bytes]) -> str:
        """Of keys which the other side has not."""
        keys = ", ".join(map(_short, tried))
        if self.pinned is not None:
            return f"another key than {keys}"
        if len(tried) > 1:
            return f"none of the {len(tried)} keys that {self.allowed.path} names for {self.name} ({keys})"
        return f"another key than {self.allowed.path} names for {self.name} ({keys})"


def protect_client(socket: zmq.Socket[bytes], own: OwnKey, server: bytes) -> None:
    """To be called before connect: only whoever has the secret half of `server` can answer."""
    socket.curve_serverkey = server
    socket.curve_publickey = own.public
    socket.curve_secretkey = own.secret


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
    if server is not None and len(server) == 64:
        credentials = Credentials(own, allowed, role, pinned=check_public(server))
        if not credentials.servers():
            raise _unclear(f"the key {server[:8]}... of {allowed.keys[check_public(server)].name} was revoked", allowed)
        return credentials
    names = {key.name for key in allowed.of_role(role)}
    if server is None and len(names) > 1:
        raise _unclear(f"server=... is to tell which of {', '.join(sorted(names))} is meant", allowed)
    if not names or server not in (None, *names):
        raise _unclear(f"no key of role {role}{'' if server is None else f' and name {server}'} is in it", allowed)
    return Credentials(own, allowed, role, server or names.pop())


def _short(public: bytes) -> str:
    return f"{public.hex()[:8]}..."


def _unclear(what: str, allowed: AllowedFile) -> InvalidArgument:
    advice = "`windlass keys allow` adds the other side's key"
    return InvalidArgument(f"{allowed.path}: {what}; {advice}", side="options", field="keys")
