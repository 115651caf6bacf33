"""`windlass keys` and its files: rights, changes in one step, and that no secret gets out."""

from __future__ import annotations

import io
import json
import os
import random
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import windlass
from windlass import _keys
from windlass._local_node import find_windlassd
from windlass.cli import main

Role = _keys.Role
MANY = """
import sys
from windlass.cli import main

for i in range(10):
    key = ["node", f"{sys.argv[1]}{i:063x}"]
    main(["keys", "allow", f"{sys.argv[1]}-{i}", *key, "--keys", sys.argv[2]])
"""


def secret_of(folder: Path) -> str:
    return _keys.load_own(folder).secret.hex()


def test_a_new_key_is_for_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old = os.umask(0)
    try:
        assert main(["keys", "new", "n", "--role", "node", "--keys", str(tmp_path / "k")]) == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "k").iterdir()} == {0o600}
    told = capsys.readouterr()
    key = _keys.parse_line(told.out.strip())
    assert (key.name, key.role) == ("n", Role.NODE)
    assert secret_of(tmp_path / "k") not in told.out + told.err


def test_a_key_is_not_replaced_unasked(tmp_path: Path):
    words = ["keys", "new", "n", "--role", "node", "--keys", str(tmp_path)]
    assert main(words) == 0
    first = (tmp_path / "own").read_text()
    assert main(words) == 1
    assert (tmp_path / "own").read_text() == first
    assert main([*words, "--replace"]) == 0
    assert (tmp_path / "own").read_text() != first


def test_allow_list_and_revoke(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WINDLASS_SECURITY__KEYS", str(tmp_path))
    assert main(["keys", "new", "boss", "--role", "scheduler"]) == 0
    lines = f"# a remark\na node {'1' * 64}\nb node {'2' * 64} any-name\n\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert main(["keys", "allow", "-"]) == 0
    assert main(["keys", "allow", "a", "observer", "3" * 64]) == 0
    assert main(["keys", "allow", "a", "observer", "3" * 64]) == 0, "once more is no fault"
    assert main(["keys", "revoke", "a", "--public", "33"]) == 0
    assert main(["keys", "revoke", "a", "--public", "33"]) == 1, "there is none any more"
    assert main(["keys", "allow", "a", "observer", "3" * 64]) == 1, "it was revoked"
    capsys.readouterr()
    assert main(["keys", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["own"]["role"] == "scheduler" and "secret" not in json.dumps(told)
    assert [(key["name"], key["role"], key["any_name"]) for key in told["allowed"]] == [
        ("a", "node", False),
        ("a", "revoked", False),
        ("b", "node", True),
    ]
    assert main(["keys", "allow", "--again", "a", "observer", "3" * 64]) == 0
    assert main(["keys", "list"]) == 0
    assert "observer" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "allow", "a", "king", "1" * 64],
        ["keys", "allow", "a", "node", "1" * 63],
        ["keys", "allow", "a", "node", "G" * 64],
        ["keys", "allow", "a", "node"],
        ["keys", "new", "a name", "--role", "node"],
        ["keys", "new", "", "--role", "node"],
        ["keys", "list"],
    ],
)
def test_wrong_usage_is_said(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("WINDLASS_SECURITY__KEYS", raising=False)
    where = [] if words == ["keys", "list"] else ["--keys", str(tmp_path)]
    assert main([*words, *where]) == 2
    assert "windlass:" in capsys.readouterr().err


def test_changes_at_the_same_time_lose_nothing_and_readers_see_whole_lists(tmp_path: Path):
    _keys.new_key(tmp_path, "boss", Role.SCHEDULER)
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(len(_keys.load_allowed(tmp_path)))  # raises where a list is broken

    reader = threading.Thread(target=read)
    reader.start()
    try:
        children = [
            subprocess.Popen([sys.executable, "-c", MANY, str(number), str(tmp_path)], stdout=subprocess.DEVNULL)
            for number in range(4)
        ]
        assert [child.wait(60) for child in children] == [0] * 4
    finally:
        done.set()
        reader.join()
    assert len(_keys.load_allowed(tmp_path)) == 40
    assert seen == sorted(seen)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_rights_that_let_others_in_are_refused_at_both_ends(tmp_path: Path):
    folder = tmp_path / "k"
    _keys.new_key(folder, "boss", Role.SCHEDULER)
    check = [find_windlassd(), "--check-config", f"--security.keys={folder}"]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    for name, rights in (("own", 0o640), ("allowed", 0o620)):
        (folder / name).chmod(rights)
        with pytest.raises(windlass.PermissionDenied, match="chmod"):
            windlass.Bridge("tcp://127.0.0.1:0", keys=folder)
        told = subprocess.run(check, capture_output=True, text=True, check=False)
        assert told.returncode == 1 and "chmod" in told.stderr
        (folder / name).chmod(0o600)


def test_halves_that_do_not_belong_together_are_refused(tmp_path: Path):
    one, two = (_keys.new_key(tmp_path / name, name, Role.SCHEDULER) for name in ("one", "two"))
    text = (tmp_path / "one/own").read_text()
    (tmp_path / "one/own").write_text(text.replace(one.public.hex(), two.public.hex()))
    with pytest.raises(windlass.InvalidArgument, match="do not belong together"):
        windlass.Bridge("tcp://127.0.0.1:0", keys=tmp_path / "one")
    with pytest.raises(windlass.Unavailable, match="do not belong together"):
        windlass.LocalNode({"security.keys": tmp_path / "one"})


def test_no_secret_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "k"
    own = _keys.new_key(folder, "boss", Role.SCHEDULER)
    monkeypatch.setenv("WINDLASS_SECURITY__KEYS", str(folder))
    texts = [repr(own), str(own)]
    daemon = subprocess.run([find_windlassd(), "--check-config"], capture_output=True, text=True, check=False)
    texts += [daemon.stdout, daemon.stderr]
    main(["keys", "list"])
    main(["keys", "list", "--json"])
    main(["doctor"])
    with windlass.LocalNode({"security.keys": folder}) as node:
        texts.append(node.log())
    broken = (folder / "own").read_text().replace("secret ", "sceret ")
    (folder / "own").write_text(broken)
    for make in (lambda: windlass.Bridge("tcp://127.0.0.1:0"), lambda: windlass.LocalNode({"security.keys": folder})):
        with pytest.raises(windlass.InvalidArgument) as error:
            make()
        texts.append(str(error.value))
    told = capfd.readouterr()
    assert own.public.hex() in told.out
    assert [text for text in [*texts, told.out, told.err] if own.secret.hex()[:16] in text] == []


def test_plain_tcp_beyond_loopback_is_refused_by_who_dials_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(windlass.InvalidArgument, match="insecure=True"):
        windlass.Client("tcp://192.0.2.1:1")
    windlass.Client("tcp://192.0.2.1:1", insecure=True).close()
    monkeypatch.setenv("WINDLASS_SECURITY__INSECURE", "true")
    windlass.Client("tcp://192.0.2.1:1").close()


def test_which_server_is_meant_has_to_be_clear(tmp_path: Path):
    _keys.new_key(tmp_path, "ann", Role.CLIENT)
    with pytest.raises(windlass.InvalidArgument, match="no key of role node"):
        windlass.Client("tcp://127.0.0.1:1", keys=tmp_path)
    for number in (1, 2):
        _keys.allow(tmp_path, _keys.AllowedKey(f"n{number}", Role.NODE, bytes([number] * 32)))
    with pytest.raises(windlass.InvalidArgument, match="n1, n2"):
        windlass.Client("tcp://127.0.0.1:1", keys=tmp_path)
    windlass.Client("tcp://127.0.0.1:1", keys=tmp_path, server="n2").close()
    windlass.Client("tcp://127.0.0.1:1", keys=tmp_path, server="03" * 32).close()
    _keys.revoke(tmp_path, "n2")
    with pytest.raises(windlass.InvalidArgument, match="revoked"):
        windlass.Client("tcp://127.0.0.1:1", keys=tmp_path, server="02" * 32)


def test_both_ends_read_the_same_files_alike(tmp_path: Path):
    """What the daemon refuses the package refuses, whatever is done to a list. Replay: WINDLASS_SEED=n."""
    seed = int(os.environ.get("WINDLASS_SEED", "20"))
    print(f"WINDLASS_SEED={seed}")
    chance = random.Random(seed)
    _keys.new_key(tmp_path, "boss", Role.SCHEDULER)
    check = [find_windlassd(), "--check-config", f"--security.keys={tmp_path}"]
    roles = [*map(str, Role), "king", "Node"]
    verdicts = set()
    for _ in range(60):
        lines = [
            chance.choice([" ", "\t", ""]).join(["", f"n{chance.randrange(9)}"])
            + f" {chance.choice(roles[: chance.choice([5, 5, 5, 7])])} {chance.randrange(40):064x}"
            + chance.choice(["", "", " any-name", "\r", " ", " more"] if chance.random() < 0.2 else [""])
            for _ in range(chance.randrange(6))
        ]
        text = "\n".join([*lines, chance.choice(["", "# remark", "   # remark", "\f"])])
        if chance.random() < 0.3:
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice("xG #\n\f\v\x1c\xa0\x85\0") + text[at + 1 :]
        (tmp_path / "allowed").write_text(text, encoding="latin-1")
        try:
            ours = len(_keys.load_allowed(tmp_path)) >= 0
        except windlass.WindlassError:
            ours = False
        theirs = subprocess.run(check, capture_output=True, check=False).returncode == 0
        assert ours == theirs, repr(text)
        verdicts.add(ours)
    assert verdicts == {True, False}


def test_doctor_looks_at_the_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WINDLASS_SECURITY__KEYS", str(tmp_path))
    _keys.new_key(tmp_path, "boss", Role.SCHEDULER)
    main(["doctor", "--json"])
    assert "boss (scheduler)" in capsys.readouterr().out
    (tmp_path / "own").chmod(0o644)
    assert main(["doctor", "--json"]) == 1
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert found["keys"]["state"] == "wrong" and "chmod 600" in found["keys"]["advice"]
