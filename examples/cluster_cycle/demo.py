"""The demo from its start to its figures; the steps themselves are in cycle.py and today.py."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dask.config
import windlass
from distributed import Client as DaskClient

from . import cycle, files, inputs, picture, report, today
from .cluster import DaskProcesses, Supervisor, started, wait_for
from .cycle import Cycle, Event, Payload
from .faults import NodeKill, killed_with_a_request
from .plugin import NodeClient, read_staged
from .say import Progress

NODES = ["node-1", "node-2", "node-3"]
BESIDE = "beside-scheduler"
_FULL = {"rows": 20_000, "files": 300, "bytes": 400 << 20}
_SMALL = {"rows": 2_000, "files": 24, "bytes": 64 << 20}


class Broken(Exception):
    """A check of the demo did not hold."""


class Demo:
    """Holds what one run needs; `work` is a folder that is removed afterwards."""

    def __init__(self, asked: argparse.Namespace, work: Path) -> None:
        self.asked = asked
        self.work = work
        self.say = Progress()
        self.size = _SMALL if asked.small else _FULL
        self.cycle = Cycle()
        self.checks: dict[str, Any] = {}
        self.stack = contextlib.ExitStack()

    def prepare(self) -> None:
        """Reads the inputs before anything is started, so that a fault in them is told at once."""
        if self.asked.tasks is None:
            self.tasks_file, offers_file = inputs.generated(int(self.size["rows"]), self.work)
        else:
            self.tasks_file, offers_file = self.asked.tasks, self.asked.offers
        self.tasks = inputs.read_csv(self.tasks_file)
        offers = inputs.read_csv(offers_file)
        self.say.line(f"{len(self.tasks):,} tasks, {len(offers):,} offers")
        _check_amounts(self.tasks_file, self.tasks, [])
        _check_amounts(offers_file, [], offers)
        self.offer_files, self.own_names = inputs.write_node_offers(offers, NODES, self.work)
        self.sources = files.choose(int(self.size["files"]), int(self.size["bytes"]))
        self.digests = {source: files.digest(source) for source in self.sources}
        self.source_bytes = sum(source.stat().st_size for source in self.sources)
        self.say.line(f"{len(self.sources)} files of this machine, {self.source_bytes / 1e6:,.0f} MB, as payloads")

    def start(self) -> None:
        """Dask, the bridge in this process, a daemon per node and one beside the scheduler."""
        for node in NODES:
            (self.work / node / "inputs").mkdir(parents=True)
        processes = DaskProcesses(self.work)
        self.stack.callback(processes.stop)
        self.say.line("starting a Dask scheduler, three Dask workers, four windlassd")
        self.dask_address = processes.start(NODES)
        self.bridge = self.stack.enter_context(windlass.Bridge("tcp://127.0.0.1:0"))
        self.daemons = {node: self._daemon(node) for node in NODES}
        self.daemons[BESIDE] = self.stack.enter_context(started())
        self.supervisor = Supervisor(self.daemons)
        self.stack.callback(self.supervisor.close)
        wait_for("the nodes to report their offers", lambda: len(self.bridge.offers()) == len(self.own_names))
        self.say.line("all nodes have registered and reported their offers")

    def _daemon(self, node: str) -> windlass.LocalNode:
        config: dict[str, Any] = {
            "node.name": node,
            "bridge.address": self.bridge.address,
            "offers.file": str(self.offer_files[node]),
            "stage.roots": [*filter(os.path.isdir, files.ROOTS), str(self.work)],
        }
        if self.asked.kill_node_daemon:  # slow enough to be in the middle of something when it is killed
            config["stage.bandwidth_max"] = max(1 << 20, self.source_bytes // len(NODES) // 2)
        return self.stack.enter_context(started(config))

    def run_cycle(self) -> None:
        """The four steps with Windlass."""
        run = self.cycle
        run.offers = run.timed("get offers", lambda: cycle.get_offers(self.bridge))
        run.tasks = run.timed("get tasks", lambda: cycle.get_tasks(self.tasks_file))
        with self.daemons[BESIDE].client() as client:
            run.placed = self._match(client)
        self.wanted = cycle.payloads(run.placed, self.sources, self.digests, self.work)
        files.forget(self.sources)
        kill = None
        if self.asked.kill_node_daemon:
            kill = NodeKill(NODES[1], self.bridge, self.supervisor)

        def progress(done: float, total: float) -> None:
            self.say.bar("prepare payloads", done, total)
            if kill is not None:
                kill.progress(done, total)

        run.timed("prepare payloads", lambda: cycle.stage(self.bridge, self.wanted, run, progress))
        self.checks.update(unavailable=run.unavailable, staged_again=run.staged_again, torn_files=run.torn)
        if run.torn:
            raise Broken(f"{run.torn} files are neither absent nor whole")
        if kill is not None:
            self._check_kill(kill)
        for name, seconds in run.seconds.items():
            self.say.line(f"{name}: {seconds:.3f} s")

    def _match(self, client: windlass.Client) -> dict[str, str]:
        run = self.cycle

        def match() -> Any:
            return cycle.match(client, run.tasks, run.offers)

        if not self.asked.kill_scheduler_daemon:
            placed: dict[str, str] = run.timed("match", match)
            self.checks["match_fallbacks"] = windlass.stats()["fallbacks"]["match"]
            return placed
        with killed_with_a_request(BESIDE, self.supervisor):
            placed = run.timed("match", match)
        fell_back = windlass.stats()["fallbacks"]["match"]
        self.say.line(f"the daemon was killed while it matched; fallbacks counted: {fell_back}")
        wait_for("the daemon beside the scheduler", lambda: self._serves(client))
        before = windlass.stats()["fallbacks"]["match"]
        again = match()
        self.checks["match_fallbacks"] = fell_back
        self.checks["match_equal_after_restart"] = again == placed and windlass.stats()["fallbacks"]["match"] == before
        if not fell_back or not self.checks["match_equal_after_restart"]:
            raise Broken(f"after the kill: {self.checks}")
        return placed

    @staticmethod
    def _serves(client: windlass.Client) -> bool:
        try:
            return bool(client.load())
        except windlass.Unavailable:
            return False

    def _check_kill(self, kill: NodeKill) -> None:
        run = self.cycle
        self.checks["node_killed"] = kill.node
        self.checks["back_after_s"] = kill.back_after_s
        self.say.line(
            f"{kill.node} was killed while it staged: {run.staged_again} files staged again, {run.torn} torn, "
            f"back {kill.back_after_s or 0:.2f} s after its new start"
        )
        if not run.unavailable or kill.back_after_s is None:
            raise Broken(f"after the kill: {self.checks}")

    def run_tasks(self) -> None:
        """The tasks with payloads, on Dask: each reads what was staged to its node."""
        addresses = {node: self.daemons[node].address for node in NODES}
        results = self.work / "results"
        results.mkdir()
        scratch = dask.config.set(temporary_directory=str(self.work))
        with scratch, DaskClient(self.dask_address, set_as_default=False) as client:
            client.wait_for_workers(len(NODES), timeout=60)
            client.register_plugin(NodeClient(addresses))
            futures = {item: self._submit(client, item, results) for item in self.wanted}
            for done, (item, future) in enumerate(futures.items()):
                self._check_task(item, future.result(timeout=120), results)
                self.say.bar("tasks on Dask", done + 1, len(futures))
        self.checks["tasks_run"] = len(self.wanted)
        self.say.line(f"{len(self.wanted)} tasks ran on Dask; each read its payload whole and sent its result home")

    def _submit(self, client: DaskClient, item: Payload, results: Path) -> Any:
        target = str(item.target)
        arguments = (target, f"{target}.result", str(results / f"{item.target.name}.result"))
        return client.submit(read_staged, *arguments, key=f"task-{item.target.name}", workers=[item.node], pure=False)

    def _check_task(self, item: Payload, told: dict[str, Any], results: Path) -> None:
        home = (results / f"{item.target.name}.result").read_text()
        if told["worker"] != item.node or not told["digest"] == home == item.digest:
            raise Broken(f"task {item.task} on {told['worker']} read something else than {item.source}")
        self.cycle.events.append(Event(f"{item.node} Dask", "task", told["begin"], told["end"]))

    def run_today(self) -> list[dict[str, Any]]:
        """The same four steps as today's Python loop does them, alone on the machine; answers the rows of the table."""
        seconds = self.cycle.seconds
        offers, get_offers_s = _clock(lambda: today.get_offers(self.offer_files))
        tasks, get_tasks_s = _clock(lambda: inputs.read_csv(self.tasks_file))
        self.say.line("today's loop: matching in plain Python; this takes a while")
        match_s, complete = self._match_today(tasks, offers)
        rows = [
            report.step("get offers", get_offers_s, seconds["get offers"]),
            report.step("get tasks", get_tasks_s, seconds["get tasks"]),
            report.step("match", match_s, seconds["match"], complete=complete),
        ]
        for note, synced in (("today's loop without sync", False), ("today's loop with sync", True)):
            files.forget(self.sources)
            folder = self.work / f"today-{synced}"
            pairs = [(item.source, folder / item.target.name) for item in self.wanted]
            self.say.line(f"today's loop: copying {len(pairs)} files{', each synced' if synced else ''}")
            _, stage_s = _clock(lambda pairs=pairs, synced=synced: today.stage(pairs, synced))
            rows.append(report.step("prepare payloads", stage_s, seconds["prepare payloads"], note=note))
        return rows

    def _match_today(self, tasks: list[Any], offers: list[Any]) -> tuple[float, bool]:
        begin = time.perf_counter()

        def progress(done: int, total: int) -> None:
            self.say.bar("today's loop, match", _scanned(done, total), 1.0)

        try:
            placed = today.match(tasks, offers, self.asked.today_seconds, progress)
        except today.Stopped as stopped:
            self.say.line(f"today's loop was {stopped}")
            return time.perf_counter() - begin, False
        seconds = time.perf_counter() - begin
        same = sum(1 for offer, task in self.cycle.placed.items() if placed.get(offer) == task)
        self.checks["float_loop_agrees"] = same / max(1, len(self.cycle.placed))
        return seconds, True

    def verify(self) -> None:
        """The daemon's answer against the one of `windlass.legacy`, on the same records."""
        self.say.line("checking the matching against windlass.legacy")
        right = windlass.legacy.match_tasks_to_offers(self.cycle.tasks, self.cycle.offers)
        self.checks["equals_legacy"] = right == self.cycle.placed
        if not self.checks["equals_legacy"]:
            raise Broken("the matching differs from windlass.legacy")

    def answer(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        self.checks["daemon_restarts"] = len(self.supervisor.restarts)
        zero = min(event.begin for event in self.cycle.events)
        timeline = [
            {**asdict(event), "begin": event.begin - zero, "end": event.end - zero} for event in self.cycle.events
        ]
        return {
            "tasks": len(self.cycle.tasks),
            "offers": len(self.cycle.offers),
            "placed": len(self.cycle.placed),
            "nodes": len(NODES),
            "files": len(self.wanted),
            "bytes": cycle.size_of(self.wanted),
            "steps": steps,
            "checks": self.checks,
            "timeline": timeline,
        }


def _check_amounts(file: Path, tasks: list[Any], offers: list[Any]) -> None:
    """Refuses, before anything is started, what the daemons would refuse."""
    try:
        windlass.match(tasks, offers)
    except windlass.InvalidArgument as error:
        raise inputs.InputError(f"{file}, line {(error.row or 0) + 2}: {error}") from error


def _scanned(done: int, total: int) -> float:
    """The share of the pairs that are behind, where every task takes an offer away."""
    share = done / max(1, total)
    return 2 * share - share * share


def _clock(work: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    return work(), time.perf_counter() - begin


def run(asked: argparse.Namespace, work: Path) -> int:
    demo = Demo(asked, work)
    with demo.stack:
        demo.prepare()
        demo.start()
        demo.run_cycle()
        demo.run_tasks()
        steps = demo.run_today()
        demo.verify()
        answer = demo.answer(steps)
        demo.say.line("stopping everything that was started")
    out = asked.out
    out.mkdir(parents=True, exist_ok=True)
    report.write(answer, out / "cycle.json")
    report.write_placed(demo.own_names, demo.cycle.placed, out / "assignments.csv")
    picture.draw(answer, out / "cycle.png")
    print(f"\n{report.table(steps)}\n\n{report.summary(answer)}\nfigures: {out}/cycle.json  picture: {out}/cycle.png")
    return 0
