"""An outbound that callers share is asked on behalf of each of them."""

from __future__ import annotations

from collections.abc import Hashable

from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.interfaces import IOutbound, ISharedOutbound
from tests.relay.fakes import CALLER_HOST, FakeOutbound, House


@implementer(ISharedOutbound)
class Shared(FakeOutbound):
    """Notes for whom it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Hashable] = []

    def on_behalf_of(self, caller: Hashable) -> IOutbound:
        self.callers.append(caller)
        return self


class TurnsOfCallersTests(TestCase):
    def setUp(self) -> None:
        self.shared = Shared()
        self.house = House(pacs=self.shared)

    def test_a_caller_is_its_title_and_its_host(self) -> None:
        self.house.call(calling="CLIENT")
        self.assertEqual(self.shared.callers, [("CLIENT", CALLER_HOST)])

    def test_the_outbound_is_asked_once(self) -> None:
        self.house.call()
        self.assertEqual(len(self.shared.requests), 1)
