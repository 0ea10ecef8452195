"""One request that an outbound sends on a delivery."""

from __future__ import annotations

from dimseproxy.dataset.head import Head
from dimseproxy.dimse.command_set import Element
from dimseproxy.dimse.parts import Command, DataSetFragment
from dimseproxy.relay.destinations import DestinationLeg
from dimseproxy.relay.elsewhere import Asked


class DeliveryMessage:
    """
    One request that the outbound sent.

    @ivar leg: where it goes; None while that is not known, or if it is refused.
    @ivar refusal: the status it will be answered with by us.
    @ivar held: what arrived of it while `head` looks where it goes, or while that application is called.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self.leg: DestinationLeg | None = None
        self.retrieve: Asked | None = None
        self.refusal: int | None = None
        self.head: Head | None = None
        self.held: list[DataSetFragment] = []
        self.is_calling = False
        self.transaction = ""

    @property
    def sop_instance(self) -> str:
        """The object that it brings."""
        return self.command.command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)
