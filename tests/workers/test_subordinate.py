"""A worker's end of what binds it to its parent."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ReactorNotRunning
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.association.tls import TLSSettingsError
from dimseproxy.config import Settings
from dimseproxy.workers.orders import Kind, Order, to_settle
from dimseproxy.workers.subordinate import Subordinate
from tests.config.support import PACS, settings_of


@define
class FakeProxy:
    """A proxy that notes what it is told."""

    opened: Deferred[None] = field(factory=Deferred)
    settings: list[Settings] = field(factory=list)
    cuts: list[str] = field(factory=list)
    mistake: str | None = None

    def reconfigure(self, settings: Settings) -> None:
        if self.mistake is not None:
            raise TLSSettingsError(self.mistake)
        self.settings.append(settings)

    def cut(self, why: str) -> None:
        self.cuts.append(why)


class FakeReactor(MemoryReactorClock):
    """Runs, and can be stopped once."""

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0

    def callFromThread(self, callable: Any, *args: Any, **keywords: Any) -> None:
        callable(*args, **keywords)

    def stop(self) -> None:
        if self.stops:
            raise ReactorNotRunning
        self.stops += 1


class SubordinateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        orders, self.say_in = os.pipe()
        self.heard_at, ready = os.pipe()
        for descriptor in (orders, self.say_in, self.heard_at, ready):
            self.addCleanup(os.close, descriptor)
        os.set_blocking(self.heard_at, False)
        self.proxy, self.reactor = FakeProxy(), FakeReactor()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.subordinate = Subordinate(self.proxy, self.folder, self.reactor, orders, ready)  # type: ignore[arg-type]
        self.subordinate.startService()
        self.reactor.run()

    @property
    def reader(self) -> IReadDescriptor:
        """What the reactor reads."""
        (reader,) = self.reactor.getReaders()
        return IReadDescriptor(reader)

    def say(self, order: Order) -> None:
        os.write(self.say_in, order.encode())
        self.reader.doRead()

    def test_it_says_nothing_before_callers_are_served(self) -> None:
        self.assertRaises(BlockingIOError, os.read, self.heard_at, 1)

    def test_it_says_when_they_are(self) -> None:
        self.proxy.opened.callback(None)
        self.assertEqual(os.read(self.heard_at, 10), b".")

    def test_new_settings_come_into_effect(self) -> None:
        settings = settings_of(PACS)
        self.say(to_settle(settings))
        self.assertEqual(self.proxy.settings, [settings])

    def test_settings_that_cannot_are_logged(self) -> None:
        self.proxy.mistake = "the certificate is gone"
        self.say(to_settle(settings_of(PACS)))
        self.assertEqual(self.proxy.settings, [])

    def test_told_to_drain_it_ends(self) -> None:
        self.say(Order(Kind.DRAIN))
        self.assertEqual(self.reactor.stops, 1)

    def test_told_so_by_a_signal_too_it_goes_on_draining(self) -> None:
        self.say(Order(Kind.DRAIN))
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual((self.reactor.stops, self.proxy.cuts), (1, []))

    def test_a_signal_alone_will_do(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(self.reactor.stops, 1)

    def test_told_to_cut_it_cuts(self) -> None:
        self.say(Order(Kind.DRAIN))
        self.say(Order(Kind.CUT, "told to stop again"))
        self.assertEqual(self.proxy.cuts, ["told to stop again"])

    def test_without_a_parent_it_ends(self) -> None:
        self.reader.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.reactor.stops, 1)

    def orphaned(self) -> None:
        """Lose the parent, and stop."""
        self.reader.connectionLost(Failure(ConnectionDone()))
        self.subordinate.stopService()

    def test_what_the_parent_cannot_remove_the_last_one_does(self) -> None:
        self.orphaned()
        self.assertFalse(self.folder.exists())

    def test_but_nobody_before(self) -> None:
        with socket.socket(socket.AF_UNIX) as another:
            another.bind(str(self.folder / "0-0"))
        self.orphaned()
        self.assertTrue(self.folder.exists())

    def test_with_a_parent_it_is_none_of_its_business(self) -> None:
        self.subordinate.stopService()
        self.assertTrue(self.folder.exists())

    def test_stopped_it_takes_no_orders(self) -> None:
        self.subordinate.stopService()
        self.assertEqual(self.reactor.getReaders(), [])
