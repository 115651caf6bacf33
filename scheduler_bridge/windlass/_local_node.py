"""`LocalNode`: a windlassd for tests and notebooks, which leaves no process and no folder behind."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from . import _guardian
from ._client import Client
from ._errors import InvalidArgument, NotFound, Unavailable, WindlassError
from ._local_config import environment, roots_of, settings_of

READY_S = 20.0
_FOLDER_BYTES_MAX = 70  # so that the socket's path stays within what the daemon takes
_LOG_TAIL = 2000

_keepers: weakref.WeakSet[_Keeper] = weakref.WeakSet()


class LocalNode:
    """Starts a windlassd with a short folder of its own for socket and state, and waits until it serves.

    `config` is the daemon's configuration by dotted keys ({"stage.roots": ["/data"]}) or by sections; by default the
    node has a name of its own, and listens on loopback ports that the system chooses for tcp and HTTP. The program is
    found at $WINDLASSD, beside the running Python, or on PATH. One thread at a time.

    pid, name, incarnation      of the running daemon; pid is None when it does not run
    address, tcp_address        where clients find it (`ipc://...`, `tcp://...` or None)
    http_url                    where /metrics, /livez and /readyz are, or None
    log_path                    the daemon's log; `log()` reads it
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        program = find_windlassd()
        self.folder = _short_folder(roots_of(config or {}))
        self.log_path = self.folder / "log"
        self.config_path = self.folder / "config.yaml"
        self._clients: weakref.WeakSet[Client] = weakref.WeakSet()
        self._ready: dict[str, Any] = {}
        self._pid: int | None = None
        self._keeper = _Keeper(self.folder)
        self._finalizer = weakref.finalize(self, self._keeper.close)
        self._command = [program, "--config", str(self.config_path)]
        try:
            settings = settings_of(config or {}, self.folder)
            self._fallback = settings.get("stage", {}).get("fallback")
            if settings.get("security", {}).get("local_uids"):
                self.folder.chmod(0o711)  # else those users could not reach the socket
            self.config_path.write_text(yaml.safe_dump(settings, sort_keys=False))
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        self._take_news(0.0)
        return self._pid

    @property
    def name(self) -> str:
        return str(self._ready["name"])

    @property
    def incarnation(self) -> str:
        return str(self._ready["incarnation"])

    @property
    def address(self) -> str:
        return f"ipc://{str(self._ready['socket']).removeprefix('ipc://')}"

    @property
    def tcp_address(self) -> str | None:
        return _with_scheme("tcp://", self._ready.get("tcp"))

    @property
    def http_url(self) -> str | None:
        return _with_scheme("http://", self._ready.get("http"))

    def log(self) -> str:
        """What the daemon has written so far, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def client(self, **options: Any) -> Client:
        """A `Client` of this node, with its `stage.fallback`; what it leaves open is closed with the node."""
        if self._fallback == "legacy":
            options.setdefault("stage_fallback", self._fallback)
        client = Client(self.address, **options)
        self._clients.add(client)
        return client

    def start(self) -> None:
        """Starts the daemon where it does not run, and waits until it is ready."""
        if self.pid is not None:
            return
        output = self.folder / "ready"
        begin = output.stat().st_size if output.exists() else 0
        order = {"start": self._command, "env": environment(), "stdout": str(output), "stderr": str(self.log_path)}
        self._keeper.order(order)
        deadline = time.monotonic() + READY_S
        while not self._read_ready(output, begin):
            news = self._take_news(0.005)
            if "failed" in news:
                raise Unavailable(f"{self._command[0]} could not be started: {news['failed']}", retryable=False)
            if "exited" in news:
                raise self._early_end(news["exited"])
            if time.monotonic() >= deadline:
                raise Unavailable(f"windlassd was not ready within {READY_S:g} s; its log ends:\n{self._log_tail()}")

    def terminate(self) -> int | None:
        """Drains the daemon (SIGTERM; SIGKILL where that takes more than 10 s) and answers its exit code."""
        self.signal(signal.SIGTERM)
        code = self._wait_for_exit(_guardian.DRAIN_S)
        return self.kill() if self._pid is not None else code

    def kill(self) -> int | None:
        """SIGKILL; answers when the daemon is gone. Its folder stays, for `restart()`."""
        self.signal(signal.SIGKILL)
        return self._wait_for_exit(READY_S)

    def restart(self) -> None:
        """Ends the daemon (draining it) where it runs, and starts it again with the same folder and configuration."""
        self.terminate()
        self.start()

    def signal(self, number: int) -> None:
        """Sends a signal to the daemon where it runs."""
        if self.pid is not None:
            self._keeper.order({"signal": int(number)})

    def close(self) -> None:
        """Closes its clients, drains the daemon, and removes the folder."""
        for client in list(self._clients):
            client.close()
        self._finalizer()
        self._pid = None

    def __enter__(self) -> LocalNode:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_news(self, timeout: float) -> dict[str, Any]:
        news = self._keeper.news(timeout)
        if "started" in news:
            self._pid = news["started"]
        if "exited" in news:
            self._pid = None
        return news

    def _wait_for_exit(self, timeout: float) -> int | None:
        deadline = time.monotonic() + timeout
        while self._pid is not None and (left := deadline - time.monotonic()) > 0:
            news = self._take_news(left)
            if "exited" in news:
                return int(news["exited"])
        return None

    def _read_ready(self, output: Path, begin: int) -> bool:
        if not output.exists():
            return False
        with output.open("rb") as lines:
            lines.seek(begin)
            for line in lines:
                ready = _parsed(line)
                if ready.get("ready"):
                    self._ready = ready
                    return True
        return False

    def _early_end(self, code: int) -> WindlassError:
        message = f"windlassd ended with code {code} before it was ready; its log ends:\n{self._log_tail()}"
        checked = subprocess.run(
            [*self._command, "--check-config"], env=environment(), capture_output=True, check=False
        )
        if code > 0 and checked.returncode != 0:  # it is the configuration that it does not accept
            return InvalidArgument(message, side="options", field="config")
        return Unavailable(message, retryable=False)

    def _log_tail(self) -> str:
        return self.log()[-_LOG_TAIL:].strip()


class _Keeper:
    """The guardian process of one LocalNode (`_guardian`), seen from the interpreter."""

    def __init__(self, folder: Path) -> None:
        self._owner = os.getpid()
        self._folder = folder
        self._unread = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _guardian.__file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # the terminal's signals are not for the daemon
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders = self._process.stdin
        self._answers = self._process.stdout
        _keepers.add(self)

    def order(self, order: dict[str, Any]) -> None:
        try:
            self._orders.write(json.dumps(order).encode() + b"\n")
        except (OSError, ValueError):
            raise Unavailable("the keeper of this LocalNode is gone, or it was closed; make a new one") from None

    def news(self, timeout: float) -> dict[str, Any]:
        """The next answer within `timeout` seconds; {} where there is none."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            if self._answers.closed:
                return {}
            left = max(deadline - time.monotonic(), 0.0)
            if not select.select([self._answers], [], [], left)[0]:
                return {}
            data = os.read(self._answers.fileno(), 65536)
            if not data:
                return {"exited": -signal.SIGKILL}  # somebody ended the guardian, and the kernel the daemon
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        return _parsed(line)

    def close(self) -> None:
        """Ends the daemon and removes the folder. A forked child leaves both alone."""
        if os.getpid() != self._owner:
            return
        self.let_go()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)  # where the guardian could not

    def let_go(self) -> None:
        """Closes this process's ends of the pipes."""
        self._orders.close()
        self._answers.close()


def _forget_in_child() -> None:
    """A forked child must not keep the guardians waiting for it."""
    for keeper in list(_keepers):
        keeper.let_go()


os.register_at_fork(after_in_child=_forget_in_child)


def find_windlassd() -> str:
    """$WINDLASSD, beside the running Python, or on PATH; NotFound says what to do."""
    told = os.environ.get("WINDLASSD")
    beside = os.path.join(os.path.dirname(sys.executable), "windlassd")
    found = shutil.which(told) if told else shutil.which(beside) or shutil.which("windlassd")
    if found is None:
        where = f"at $WINDLASSD = {told!r}" if told else "beside the running Python or on PATH"
        raise NotFound(f"there is no windlassd {where}: run `make build`, or set WINDLASSD to the program's path")
    return os.path.abspath(found)


def _short_folder(roots: list[Path]) -> Path:
    """A new folder outside the roots, where the daemon may keep its state, with a name short enough for a socket."""
    for parent in map(os.path.realpath, (tempfile.gettempdir(), "/tmp", "/dev/shm", "/run")):
        covered = any(Path(parent).is_relative_to(root) for root in roots)
        if len(os.fsencode(parent)) <= _FOLDER_BYTES_MAX and os.access(parent, os.W_OK | os.X_OK) and not covered:
            return Path(tempfile.mkdtemp(prefix="windlass-", dir=parent))
    raise Unavailable(
        "there is no temporary folder outside stage.roots with a name short enough for a socket: set TMPDIR to one",
        retryable=False,
    )


def _with_scheme(scheme: str, address: Any) -> str | None:
    return f"{scheme}{str(address).removeprefix(scheme)}" if address else None


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
