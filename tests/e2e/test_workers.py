"""Several workers: they serve together, one that dies is replaced, and they end together."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND
from twisted.internet.defer import Deferred

from dimseproxy.workers.orders import WHERE
from dimseproxy.workers.part import Part
from dimseproxy.workers.worker import LOOK_EVERY, STILL_LOOKS
from tests.e2e.test_operation import ECHO, STRICT, Operation
from tests.support import pynetdicom_scu
from tests.support.objects import sample
from tests.support.process import PATIENCE, at_once, port_is_open, scratch, until
from tests.support.proxy import CALLED, ProxyProcess
from tests.support.pynetdicom_scu import associate
from tests.support.threads import in_thread

WORKERS = 3

ENOUGH = 32
"""Callers, so that each of the workers gets some: that one gets none happens once in a hundred thousand times."""

A_FEW = 8
"""Callers at the same time, each in a thread of its own, and few enough for the pool of threads."""


UNDER_PSEUDONYMS: dict[str, Any] = {
    "privacy": {"research": {"originals": "inbound"}},
    "route": {"privacy": "research"},
}


class Workers(Operation):
    """A proxy of several workers before an acceptor that records."""

    def config(self, **settings: Any) -> dict[str, Any]:
        return super().config(workers=WORKERS, **settings)

    async def start(self, **settings: Any) -> ProxyProcess:
        proxy = await super().start(**settings)
        await proxy.process.says(f"all {WORKERS} workers serve")
        return proxy

    def pids(self, proxy: ProxyProcess) -> dict[int, int]:
        """The processes of the workers, as they are now, by their numbers."""
        found = re.findall(r"worker (\d+) serves, as process (\d+)", proxy.log)
        return {int(number): int(pid) for number, pid in found}

    def end(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def folder_of(self, pid: int) -> Path:
        """Where the workers call one another."""
        variables = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes()).split("\0")
        part = Part.from_environment(dict(each.split("=", 1) for each in variables if each))
        assert part is not None
        return part.sockets

    async def ended(self, *pids: int) -> None:
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the workers to end")

    def served_by(self, proxy: ProxyProcess, calling: str) -> int:
        """The number of the worker that a caller has come to."""
        found = re.search(rf"worker (\d+): association \d+ from '{calling}'", proxy.log)
        assert found is not None, proxy.log
        return int(found[1])


class Together(Workers):
    """What callers see is one proxy."""

    async def test_all_workers_serve_callers(self) -> None:
        proxy = await self.start()
        callers = [f"CALLER{number}" for number in range(ENOUGH)]
        self.assertEqual([0x0000] * ENOUGH, [await self.echo(calling) for calling in callers])
        self.assertEqual(set(range(WORKERS)), {self.served_by(proxy, calling) for calling in callers})

    async def test_a_reload_reaches_all_of_them(self) -> None:
        proxy = await self.start()
        proxy.configure(self.config(**STRICT))
        proxy.process.signal("HUP")
        told = "reload: the configuration is in effect"
        await until(lambda: proxy.log.count(told) == WORKERS, "the workers to follow")
        self.assertEqual([True] * ENOUGH, [await self.is_refused("CALLER") for _ in range(ENOUGH)])

    async def test_a_log_of_objects_has_the_number_of_the_worker(self) -> None:
        proxy = await self.start(log={"format": "json", "level": "debug"})
        await self.echo()
        lines = [json.loads(line) for line in proxy.log.splitlines()]
        serving = {line["worker"] for line in lines if "listens on" in line["text"] and "worker" in line}
        self.assertEqual(set(range(WORKERS)), serving)


class Death(Workers):
    """A worker ends that was not told to."""

    def talking(self, calling: str) -> tuple[threading.Event, threading.Event, Deferred[bool]]:
        """An association that says, once the second event is set, whether it still works."""
        opened, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def whole() -> bool:
            association = associate(self.port, CALLED, calling, ECHO)
            opened.set()
            go.wait(PATIENCE)
            return works(association)

        return opened, go, in_thread(whole)

    async def test_the_associations_of_the_others_go_on(self) -> None:
        proxy = await self.start()
        callers = {f"CALLER{number}": self.talking(f"CALLER{number}") for number in range(A_FEW)}
        await until(lambda: all(opened.is_set() for opened, _, _ in callers.values()), "the associations")
        by = {calling: self.served_by(proxy, calling) for calling in callers}
        self.end(self.pids(proxy)[by["CALLER0"]])
        await proxy.process.says("by signal 9: another one is started")
        for _, go, _ in callers.values():
            go.set()
        still = {calling: await outcome for calling, (_, _, outcome) in callers.items()}
        self.assertEqual({calling: by[calling] != by["CALLER0"] for calling in callers}, still)

    async def test_who_calls_meanwhile_is_served(self) -> None:
        proxy = await self.start()
        self.end(self.pids(proxy)[1])
        await proxy.process.says("by signal 9: another one is started")
        statuses = await at_once(*(self.echo() for _ in range(ENOUGH)))
        self.assertEqual([0x0000] * ENOUGH, statuses)

    async def test_its_successor_serves_as_the_others_do(self) -> None:
        proxy = await self.start()
        proxy.configure(self.config(**STRICT))
        proxy.process.signal("HUP")
        await until(lambda: proxy.log.count("is in effect") == WORKERS, "the workers to follow")
        # Of no consequence: only SIGHUP makes anybody read it.
        proxy.configure("nonsense: 1")
        before = self.pids(proxy)
        self.end(before[2])
        await until(lambda: self.pids(proxy)[2] != before[2], "another worker")
        self.assertEqual([True] * ENOUGH, [await self.is_refused("CALLER") for _ in range(ENOUGH)])

    async def test_one_that_is_told_to_end_drains_and_is_replaced(self) -> None:
        proxy = await self.start()
        before = self.pids(proxy)
        self.end(before[0], signal.SIGTERM)
        await until(lambda: self.pids(proxy)[0] != before[0], "another worker")
        self.assertIn("worker 0: shutting down with 0 associations", proxy.log)

    async def test_one_that_hangs_is_replaced(self) -> None:
        proxy = await self.start()
        before = self.pids(proxy)
        self.end(before[1], signal.SIGSTOP)
        await proxy.process.says("worker 1 hangs: no sign of life for 30 s", 2 * STILL_LOOKS * LOOK_EVERY)
        await proxy.process.says("worker 1 has ended, by signal 9: another one is started")
        await until(lambda: self.pids(proxy)[1] != before[1], "another worker")
        self.assertEqual([before[0], before[2]], [self.pids(proxy)[number] for number in (0, 2)])

    async def test_one_that_hangs_says_where(self) -> None:
        proxy = await self.start()
        self.end(self.pids(proxy)[1], WHERE)
        await proxy.process.says(" in doPoll")
        self.assertIn("error worker 1:   File ", proxy.log)
        self.assertEqual(0x0000, await self.echo())

    async def test_without_their_parent_the_workers_end(self) -> None:
        proxy = await self.start()
        pids = self.pids(proxy).values()
        folder = self.folder_of(self.pids(proxy)[0])
        self.end(proxy.process.pid)
        await self.ended(*pids)
        self.assertEqual((False, False), (port_is_open(self.port), folder.exists()))

    async def test_one_that_never_served_ends_the_start(self) -> None:
        folder = scratch(self)
        (folder / "privacy.key").write_text("too short")
        (folder / "privacy.key").chmod(0o600)
        config = self.config(
            data_dir=str(folder), privacy={"research": {"originals": "inbound"}}, route={"privacy": "research"}
        )
        result = await ProxyProcess.launch(self, config).ended()
        self.assertEqual(1, result.code, result.output)
        self.assertIn("privacy.key", result.output)
        self.assertEqual(1, result.output.count("cannot start"))


class Stop(Workers):
    """All of them end, and none before its time."""

    def setUp(self) -> None:
        super().setUp()
        self.gate = self.peer.store_gate = threading.Event()
        self.addCleanup(self.gate.set)

    def storing(self) -> Deferred[list[int]]:
        """A C-STORE that the PACS does not answer before the gate opens."""

        def whole() -> list[int]:
            one = sample("CT_small.dcm")
            association = associate(self.port, CALLED, "CALLER", pynetdicom_scu.contexts_for([one]))
            try:
                return [association.send_c_store(one.path).get("Status", -1)]
            finally:
                if association.is_established:
                    association.release()

        return in_thread(whole)

    async def running(self, proxy: ProxyProcess) -> Deferred[list[int]]:
        outcome = self.storing()
        await until(lambda: self.peer.stored, "the object in the PACS")
        return outcome

    async def closed(self) -> None:
        await until(lambda: not port_is_open(self.port), "the port to close")

    async def test_it_ends_when_idle_and_all_workers_with_it(self) -> None:
        proxy = await self.start()
        pids = self.pids(proxy).values()
        folder = self.folder_of(self.pids(proxy)[0])
        proxy.process.signal("TERM")
        self.assertEqual(-signal.SIGTERM, (await proxy.ended()).code)
        await self.ended(*pids)
        self.assertFalse(folder.exists())

    async def test_a_running_message_finishes(self) -> None:
        proxy = await self.start()
        outcome = await self.running(proxy)
        proxy.process.signal("TERM")
        await self.closed()
        self.gate.set()
        self.assertEqual([0x0000], await outcome)
        self.assertEqual(-signal.SIGTERM, (await proxy.ended()).code)

    async def told_at_once(self, number: signal.Signals) -> None:
        """What systemd, or Ctrl-C, does: every process is told."""
        proxy = await self.start()
        outcome = await self.running(proxy)
        for pid in (*self.pids(proxy).values(), proxy.process.pid):
            self.end(pid, number)
        await self.closed()
        self.gate.set()
        self.assertEqual([0x0000], await outcome)
        self.assertEqual(-number, (await proxy.ended()).code)

    async def test_so_it_does_if_every_process_is_told_to_end(self) -> None:
        await self.told_at_once(signal.SIGTERM)

    async def test_and_if_every_process_is_interrupted(self) -> None:
        await self.told_at_once(signal.SIGINT)

    async def test_told_again_it_is_cut(self) -> None:
        proxy = await self.start()
        outcome = await self.running(proxy)
        proxy.process.signal("TERM")
        await self.closed()
        proxy.process.signal("TERM")
        self.assertEqual([-1], await outcome)
        self.assertEqual(-signal.SIGTERM, (await proxy.ended()).code)

    async def test_a_message_that_does_not_finish_is_aborted_at_the_limit(self) -> None:
        proxy = await self.start(timeouts={"drain": 0.5})
        outcome = await self.running(proxy)
        proxy.process.signal("TERM")
        self.assertEqual([-1], await outcome)
        self.assertEqual(-signal.SIGTERM, (await proxy.ended()).code)


class Start(Workers):
    """What several processes must not do, none does."""

    async def test_a_port_in_use(self) -> None:
        await self.start()
        result = await ProxyProcess.launch(self, self.config()).ended()
        self.assertEqual(1, result.code)
        self.assertIn(f"tcp:{self.port}:interface=127.0.0.1: Address already in use", result.output)

    async def test_callers_may_come_before_there_is_a_worker(self) -> None:
        await super().start()
        self.assertEqual([0x0000] * ENOUGH, await at_once(*(self.echo() for _ in range(ENOUGH))))


class Keeping(Workers):
    """What is kept, all of them keep."""

    async def test_what_one_has_stored_all_find(self) -> None:
        config = self.config(data_dir=str(scratch(self)))
        config["outbound"] = {"local": {"archive": {}}}
        config["routes"] = [{"outbound": "local"}]
        proxy = await ProxyProcess.start(self, config, self.port)
        await proxy.process.says(f"all {WORKERS} workers serve")
        one = sample("CT_small.dcm")
        self.assertEqual([0x0000], await pynetdicom_scu.store(self.port, CALLED, "CALLER", [one]))
        found = [await self.found(one.study, f"CALLER{number}") for number in range(ENOUGH)]
        self.assertEqual([1] * ENOUGH, found)
        self.assertEqual(set(range(WORKERS)), {self.served_by(proxy, f"CALLER{number}") for number in range(ENOUGH)})

    async def found(self, study: str, calling: str) -> int:
        """How many studies of this UID a caller is told of."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study

        def talk(association: Association) -> int:
            pynetdicom_scu.rest(association)
            return sum(answer is not None for _, answer in association.send_c_find(identifier, STUDY_FIND))

        return await pynetdicom_scu.conversation(self.port, CALLED, calling, [build_context(STUDY_FIND)], talk)

    async def test_a_pseudonym_is_the_same_whoever_makes_it(self) -> None:
        proxy = await self.start(data_dir=str(scratch(self)), **UNDER_PSEUDONYMS)
        one = sample("CT_small.dcm")
        callers = [f"CALLER{number}" for number in range(ENOUGH)]
        stores = [pynetdicom_scu.store(self.port, CALLED, calling, [one]) for calling in callers]
        self.assertEqual([[0x0000]] * ENOUGH, await at_once(*stores), proxy.log)
        self.assertEqual(set(range(WORKERS)), {self.served_by(proxy, calling) for calling in callers})
        self.assertEqual((1, ENOUGH), (len({each.data_set for each in self.peer.stored}), len(self.peer.stored)))


def works(association: Association) -> bool:
    """Whether a C-ECHO succeeds; then release."""
    try:
        return bool(association.send_c_echo().get("Status", -1) == 0x0000)
    except (RuntimeError, ValueError):
        return False
    finally:
        if association.is_established:
            association.release()
