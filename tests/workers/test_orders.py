"""What goes through the pipe from the parent to a worker."""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.config import Settings
from dimseproxy.workers.orders import WHERE, Kind, NoOrders, Order, Orders, settings_from_parent, settings_in, to_settle
from dimseproxy.workers.part import VARIABLE, NoPart, Part
from tests.config.support import PACS, settings_of

WITH_PASSWORD = "database: postgresql+psycopg://me:hidden@db.example.org/dimseproxy\n"


class PartTests(SynchronousTestCase):
    def test_a_child_knows_what_its_parent_said(self) -> None:
        part = Part(2, 3, {"clinic": 5, "ward": 6}, 4, Path(self.mktemp()))
        self.assertEqual(Part.from_environment(part.to_environment()), part)

    def test_most_processes_have_no_parent(self) -> None:
        self.assertIsNone(Part.from_environment({"PATH": "/bin"}))

    def test_what_somebody_else_has_written_is_refused(self) -> None:
        for written in "", "1", "{}", "[]", '{"number": 1}':
            with self.assertRaises(NoPart):
                Part.from_environment({VARIABLE: written})


class SettingsTests(SynchronousTestCase):
    """Settings cross the pipe whole."""

    def crossed(self, settings: Settings) -> Settings:
        return settings_in(to_settle(settings).text)

    def test_they_are_equal(self) -> None:
        settings = settings_of(PACS + "timeouts: {artim: 7}\nworkers: 3\nlog: {format: json}\n")
        self.assertEqual(self.crossed(settings), settings)

    def test_defaults_stay_what_they_are(self) -> None:
        self.assertEqual(self.crossed(settings_of("")), settings_of(""))

    def test_passwords_are_among_them(self) -> None:
        settings = settings_of(PACS + WITH_PASSWORD)
        self.assertEqual(self.crossed(settings).database, settings.database)

    def test_an_order_does_not_show_them(self) -> None:
        self.assertNotIn("hidden", repr(to_settle(settings_of(PACS + WITH_PASSWORD))))


class OrdersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.read, self.write = os.pipe()
        self.addCleanup(os.close, self.read)
        self.is_open = True
        self.addCleanup(self.end)
        for number in (signal.SIGHUP, signal.SIGINT, WHERE):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        # Or it would end us where nothing takes it.
        signal.signal(WHERE, signal.SIG_IGN)
        self.addCleanup(faulthandler.unregister, WHERE)
        self.carried_out: list[Order] = []
        self.orphaned = 0

    def end(self) -> None:
        if self.is_open:
            os.close(self.write)
        self.is_open = False

    def say(self, content: bytes) -> None:
        os.write(self.write, content)

    def orders(self) -> Orders:
        def orphaned() -> None:
            self.orphaned += 1

        return Orders(self.read, self.carried_out.append, orphaned)

    def test_the_settings_come_first_and_the_rest_stays(self) -> None:
        settings = settings_of(PACS)
        self.say(to_settle(settings).encode() + Order(Kind.DRAIN).encode())
        self.assertEqual(settings_from_parent(self.read), settings)
        self.orders().doRead()
        self.assertEqual(self.carried_out, [Order(Kind.DRAIN)])

    def test_a_worker_without_settings_has_no_parent(self) -> None:
        self.say(to_settle(settings_of(PACS)).encode()[:-1])
        self.end()
        self.assertRaises(NoOrders, settings_from_parent, self.read)

    def test_no_settings_at_first_are_none(self) -> None:
        self.say(Order(Kind.DRAIN).encode())
        self.assertRaises(NoOrders, settings_from_parent, self.read)

    def test_a_terminal_has_no_say(self) -> None:
        self.say(to_settle(settings_of(PACS)).encode())
        settings_from_parent(self.read)
        taken = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT)]
        self.assertEqual(taken, [signal.SIG_IGN, signal.SIG_IGN])

    def test_whoever_has_them_says_where_it_is_when_it_is_asked(self) -> None:
        """Also before its reactor runs, which may be what never comes."""
        self.say(to_settle(settings_of(PACS)).encode())
        settings_from_parent(self.read)
        self.assertIn(b"in test_whoever_has_them_says_where_it_is_when_it_is_asked", complaints_at(WHERE))

    def test_orders_may_come_together(self) -> None:
        said = [Order(Kind.SETTINGS, "ä: 1"), Order(Kind.DRAIN), Order(Kind.CUT, "why")]
        self.say(b"".join(order.encode() for order in said))
        self.orders().doRead()
        self.assertEqual(self.carried_out, said)

    def test_an_order_may_come_in_pieces(self) -> None:
        orders = self.orders()
        order = Order(Kind.CUT, "told to stop again")
        for number in order.encode():
            self.assertEqual(self.carried_out, [])
            self.say(bytes([number]))
            orders.doRead()
        self.assertEqual(self.carried_out, [order])

    def test_nothing_to_read_is_no_end(self) -> None:
        self.assertIsNone(self.orders().doRead())

    def test_the_end_is_that_of_the_parent(self) -> None:
        orders = self.orders()
        self.end()
        gone = orders.doRead()
        assert gone is not None
        self.assertTrue(gone.check(ConnectionDone))
        orders.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.orphaned, 1)


def complaints_at(number: signal.Signals) -> bytes:
    """What this process writes to its standard error when it gets a signal."""
    stderr = os.dup(2)
    heard_at, said_in = os.pipe()
    os.dup2(said_in, 2)
    os.close(said_in)
    try:
        os.kill(os.getpid(), number)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    # All other ends are closed: where nothing was written, there is nothing to wait for.
    with open(heard_at, "rb") as heard:
        return heard.read()
