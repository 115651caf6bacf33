"""A folder of keys, as files: `own` (one key, with its secret half) and `allowed` (who may speak to us).

The daemon reads the same files (`worker/base/keys.cpp`); docs/security.md tells their form. A secret is in `OwnKey`
alone, which does not show it. Files are replaced in one step, and changes are made one at a time.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ._errors import FailedPrecondition, InvalidArgument, PermissionDenied
from ._keys_files import alone, check_folder, read_text, replace_text, unreadable

OWN_BYTES_MAX = 4096
ALLOWED_BYTES_MAX = 16 << 20
KEY_BYTES = 32
LIST_PERIOD_S = 1.0  # between two looks at the list, of whoever goes by it

_OWN_HEAD = "# A key of Windlass, SECRET: whoever reads this file can speak in its name. It stays on this machine.\n"
_ALLOWED_HEAD = (
    "# Who may speak to this machine: NAME ROLE PUBLIC. Written by `windlass keys`; read again when it changes.\n"
)

Folder = str | os.PathLike[str]
_Parsed = TypeVar("_Parsed")


class Role(str, enum.Enum):
    """What the owner of a key is. A revoked one stays in the list, so that its use is told from a stranger's."""

    SCHEDULER = "scheduler"
    CLIENT = "client"
    OBSERVER = "observer"
    NODE = "node"
    REVOKED = "revoked"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class AllowedKey:
    """One line of the list. `any_name`: a node's key that may register under any name."""

    name: str
    role: Role
    public: bytes
    any_name: bool = False

    def line(self) -> str:
        return f"{self.name} {self.role} {self.public.hex()}{' any-name' if self.any_name else ''}"


@dataclass(frozen=True)
class OwnKey:
    """The key of this machine."""

    name: str
    role: Role
    public: bytes
    secret: bytes = field(repr=False)


def check_name(name: str) -> str:
    if not re.fullmatch(r"(?!#)[!-~]{1,255}", name):
        raise InvalidArgument(
            f"the name {name!r} of a key: give 1 to 255 ASCII characters without spaces, not beginning with #",
            side="options",
            field="name",
            value=name,
        )
    return name


def check_public(text: str) -> bytes:
    """The 32 bytes of 64 hex digits."""
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES and text == text.lower() else b""
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidArgument(
            f"a public key is {2 * KEY_BYTES} hex digits, as `windlass keys new` prints them",
            side="options",
            field="public",
        )
    return key


def parse_line(text: str) -> AllowedKey:
    """`NAME ROLE PUBLIC [any-name]`."""
    words = _words(text)
    if len(words) not in (3, 4) or words[3:] not in ([], ["any-name"]):
        raise InvalidArgument("a line is to be NAME ROLE PUBLIC, and any-name for a key of many nodes")
    try:
        role = Role(words[1])
    except ValueError:
        raise InvalidArgument(f"{words[1]!r} is no role: give one of {', '.join(map(str, Role))}") from None
    return AllowedKey(check_name(words[0]), role, check_public(words[2]), len(words) == 4)


def parse_allowed(text: str, where: str = "allowed") -> dict[bytes, AllowedKey]:
    """The list by key."""
    keys: dict[bytes, AllowedKey] = {}
    for number, key in _lines(text, where, parse_line):
        if key.public in keys:
            raise InvalidArgument(f"{where}:{number}: this key stands in the list already")
        keys[key.public] = key
    return keys


def parse_own(text: str, where: str = "own") -> OwnKey:
    fields = {words[0]: words[1] for _, words in _lines(text, where, _own_line)}
    if set(fields) != {"name", "role", "public", "secret"}:
        raise InvalidArgument(f"{where}: name, role, public and secret are all to stand in it, once")
    try:
        public, secret = check_public(fields["public"]), check_public(fields["secret"])
        role, name = Role(fields["role"]), check_name(fields["name"])
    except ValueError:  # says nothing of what stands there, which may be a secret in the wrong place
        raise InvalidArgument(f"{where}: public and secret are to be 64 hex digits, role a role, name a name") from None
    return OwnKey(name, role, public, secret)


def load_own(folder: Folder) -> OwnKey:
    path = Path(folder) / "own"
    return parse_own(read_text(path, 0o077, OWN_BYTES_MAX)[0], str(path))


def load_allowed(folder: Folder) -> dict[bytes, AllowedKey]:
    return AllowedFile(folder).keys


class AllowedFile:
    """FOLDER/allowed, read again whenever it changes. One thread."""

    def __init__(self, folder: Folder) -> None:
        self.path = Path(folder) / "allowed"
        self.keys: dict[bytes, AllowedKey] = {}
        self._seen: tuple[int, ...] | None = None
        self.refresh()

    def refresh(self) -> bool:
        """True where it was read anew. Raises where it cannot be read; what was known stays."""
        try:
            now = _stamp(self.path.stat())
        except OSError as error:
            raise unreadable(self.path, error) from None
        if now == self._seen:
            return False
        text, seen = read_text(self.path, 0o022, ALLOWED_BYTES_MAX)
        self.keys = parse_allowed(text, str(self.path))
        self._seen = _stamp(seen)
        return True

    def of_role(self, role: Role) -> list[AllowedKey]:
        return sorted((key for key in self.keys.values() if key.role == role), key=lambda key: (key.name, key.public))


# ---- Changing them ---------------------------------------------------------------------------------------------------


def new_key(folder: Folder, name: str, role: Role, *, replace: bool = False) -> OwnKey:
    """Makes the folder (0700) and a key in it; a list that is there stays."""
    from zmq import curve_keypair
    from zmq.utils import z85

    check_name(name)
    place = Path(folder)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_folder(place)
    with alone(place):
        if (place / "own").exists() and not replace:
            raise FailedPrecondition(
                f"{place / 'own'} is there already; --replace makes a new key in its place, which others must be told"
            )
        public, secret = (z85.decode(half) for half in curve_keypair())
        text = f"{_OWN_HEAD}name {name}\nrole {role}\npublic {public.hex()}\nsecret {secret.hex()}\n"
        replace_text(place / "own", text, mode=0o600)
        if not (place / "allowed").exists():
            replace_text(place / "allowed", _ALLOWED_HEAD)
    return OwnKey(name, role, public, secret)


def allow(folder: Folder, key: AllowedKey, *, again: bool = False) -> bool:
    """Adds a key to the list; False where it stood there so already. `again`: even if it was revoked."""

    def change(keys: dict[bytes, AllowedKey]) -> bool:
        known = keys.get(key.public)
        if known == key:
            return False
        if known is not None and known.role == Role.REVOKED and not again:
            raise PermissionDenied(f"the key of {known.name} was revoked; --again allows it once more")
        keys[key.public] = key
        return True

    return _change(folder, change)


def revoke(folder: Folder, name: str, public: str | None = None) -> list[AllowedKey]:
    """Revokes the keys of a name, or the one whose public half begins so; answers which those were."""
    revoked: list[AllowedKey] = []

    def change(keys: dict[bytes, AllowedKey]) -> bool:
        for key in list(keys.values()):
            if key.name == name and key.role != Role.REVOKED and key.public.hex().startswith(public or ""):
                revoked.append(key)
                keys[key.public] = AllowedKey(key.name, Role.REVOKED, key.public)
        return bool(revoked)

    _change(folder, change)
    return revoked


def _change(folder: Folder, change: Callable[[dict[bytes, AllowedKey]], bool]) -> bool:
    place = Path(folder)
    check_folder(place)
    with alone(place):
        path = place / "allowed"
        keys = load_allowed(place) if path.exists() else {}
        changed = change(keys)
        if changed:
            lines = [key.line() for key in sorted(keys.values(), key=lambda key: (key.name, key.role, key.public))]
            replace_text(path, _ALLOWED_HEAD + "".join(f"{line}\n" for line in lines))
    return changed


# ---- Lines -----------------------------------------------------------------------------------------------------------


def _own_line(text: str) -> list[str]:
    words = _words(text)
    if len(words) != 2 or words[0] not in ("name", "role", "public", "secret"):
        raise InvalidArgument("is to be name, role, public or secret, and one word")
    return words


def _lines(text: str, where: str, parse: Callable[[str], _Parsed]) -> Iterator[tuple[int, _Parsed]]:
    for number, line in enumerate(text.split("\n"), 1):
        words = _words(line)
        if words and not words[0].startswith("#"):
            try:
                yield number, parse(line)
            except InvalidArgument as error:
                raise InvalidArgument(f"{where}:{number}: {error}", side="options", field="keys") from None


def _words(line: str) -> list[str]:
    return re.findall(r"[^ \t\r]+", line)  # and not at what Python takes for spaces besides


def _stamp(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_mode, seen.st_uid
