"""What deploy/ ships is accepted by what it is for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
UNIT = TOP / "deploy/systemd/windlassd.service"
DAEMON = Path(os.environ.get("WINDLASSD", Path(sys.executable).with_name("windlassd")))


def test_the_example_configuration_is_accepted() -> None:
    done = subprocess.run(
        [DAEMON, "--check-config", "--config", TOP / "deploy/windlass.yaml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "stage.roots: [/srv/windlass]" in done.stdout


def test_an_example_configuration_with_a_fault_would_be_refused(tmp_path: Path) -> None:
    spoilt = (TOP / "deploy/windlass.yaml").read_text().replace("roots:", "rots:")
    (tmp_path / "w.yaml").write_text(spoilt)
    done = subprocess.run([DAEMON, "--check-config", "--config", tmp_path / "w.yaml"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "stage.rots is no setting; the nearest is stage.roots" in done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_the_unit_is_valid_and_confined(tmp_path: Path) -> None:
    program = tmp_path / "windlassd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "windlassd.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/windlassd", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert done.returncode == 0 and "windlassd.service" not in done.stderr, done.stderr
    security = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30", unit]
    done = subprocess.run(security, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_the_slurm_script_serves_and_ends_with_its_step(tmp_path: Path) -> None:
    job = f"test-{os.getpid()}"
    environment = {
        **os.environ,
        "SLURM_JOB_ID": job,
        "WINDLASS_ROOT": str(tmp_path / "root"),
        "PATH": f"{DAEMON.parent}:{os.environ['PATH']}",
        "WINDLASS_HTTP__LISTEN": "",
    }
    socket = Path(f"/tmp/windlass-{job}/windlass.sock")
    script = [TOP / "deploy/slurm/windlassd.sh", "tcp://127.0.0.1:1"]
    with subprocess.Popen(
        script, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as step:
        try:
            limit = time.monotonic() + 30
            while not socket.exists() and step.poll() is None and time.monotonic() < limit:
                time.sleep(0.02)
            assert socket.exists(), step.communicate()[1] if step.poll() is not None else "no socket"
            step.send_signal(signal.SIGTERM)
            assert step.wait(20) is not None
        finally:
            if step.poll() is None:
                step.send_signal(signal.SIGTERM)
                step.wait(20)
    assert not socket.parent.exists()
