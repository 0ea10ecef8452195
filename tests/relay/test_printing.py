"""Print management (PS3.4 H) on routes with a privacy policy."""

from __future__ import annotations

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import NO_REASON_GIVEN
from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.relay.privacy import Privacy
from dimseproxy.relay.reception import Reception
from tests.association.playing import command, fragment, response
from tests.privacy import editing
from tests.privacy.objects import data_set, items, reference
from tests.relay.test_border import commands, of, read
from tests.relay.test_under_a_policy import PRINT, UnderAPolicy

FILM_SESSION, FILM_BOX, IMAGE_BOX = "1.2.840.10008.5.1.1.1", "1.2.840.10008.5.1.1.2", "1.2.840.10008.5.1.1.4"
SESSION, BOX = "1.2.276.1", "1.2.276.2"


def creating(sop_class: str, instance: str | None = None, **attributes: object) -> list[Part]:
    more: dict[Element, int | str | None] = {} if instance is None else {Element.AFFECTED_SOP_INSTANCE_UID: instance}
    return [
        command(CommandField.N_CREATE_RQ, 1, has_data_set=True, sop_class=sop_class, more=more),
        fragment(editing.encoded(data_set(**attributes), editing.IMPLICIT)),
    ]


def setting(image_box: str) -> list[Part]:
    """The pixels of an image box."""
    more: dict[Element, int | str | None] = {
        Element.REQUESTED_SOP_CLASS_UID: IMAGE_BOX,
        Element.REQUESTED_SOP_INSTANCE_UID: image_box,
    }
    image = data_set(Rows=2, Columns=2, BitsAllocated=8, PixelRepresentation=0, PixelData=b"film")
    box = data_set(ImageBoxPosition=1, BasicGrayscaleImageSequence=items(image))
    return [
        command(CommandField.N_SET_RQ, 3, has_data_set=True, more=more),
        fragment(editing.encoded(box, editing.IMPLICIT)),
    ]


class ShieldedPrintTests(UnderAPolicy):
    """The caller lives under pseudonyms: its films may show them."""

    def setUp(self) -> None:
        super().setUp()
        self.caller = self.house.call(PRINT)

    def created(self, instance: str, **attributes: object) -> list[Part]:
        more: dict[Element, int | str | None] = {Element.AFFECTED_SOP_INSTANCE_UID: instance}
        return [
            response(CommandField.N_CREATE_RSP, 1, has_data_set=True, more=more),
            fragment(editing.encoded(data_set(**attributes), editing.IMPLICIT)),
        ]

    def test_a_film_is_printed_where_the_printer_names_its_parts(self) -> None:
        self.caller.hears(creating(FILM_SESSION, NumberOfCopies="1"))
        self.pacs.hears(self.created(SESSION, NumberOfCopies="1"))
        session = of(self.caller.takes()).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)
        self.assertEqual(session, self.pseudonym(Kind.INSTANCE, SESSION))
        self.pacs.takes()
        films = items(reference(session, FILM_SESSION))
        self.caller.hears(creating(FILM_BOX, FilmOrientation="PORTRAIT", ReferencedFilmSessionSequence=films))
        asked = read(self.pacs.takes())
        self.assertEqual(asked.ReferencedFilmSessionSequence[0].ReferencedSOPInstanceUID, SESSION)
        self.pacs.hears(self.created("1.2.276.3", ReferencedImageBoxSequence=items(reference(BOX, IMAGE_BOX))))
        told = read(self.caller.takes())
        box = told.ReferencedImageBoxSequence[0].ReferencedSOPInstanceUID
        self.assertEqual(box, self.pseudonym(Kind.INSTANCE, BOX))
        self.caller.hears(setting(box))
        film = self.pacs.takes()
        self.assertEqual(of(film).command_set.text(Element.REQUESTED_SOP_INSTANCE_UID), BOX)
        self.assertEqual(read(film).BasicGrayscaleImageSequence[0].PixelData, b"film")

    def test_a_name_that_the_caller_made_up_is_unknown(self) -> None:
        self.caller.hears(creating(FILM_SESSION, "1.2.3.999", NumberOfCopies="1"))
        self.assertEqual(
            (commands(self.pacs.sent), of(self.caller.sent).command_set.status), ([], Status.NO_SUCH_SOP_INSTANCE)
        )


class ExportedPrintTests(UnderAPolicy):
    """The caller holds originals: its films may show names, and nobody looks at their pixels."""

    originals = "inbound"

    def test_there_is_no_printing_whatever_the_policy_says_of_text_in_pixels(self) -> None:
        policy = compile_policy(name="research", originals="inbound", burned_in="pass")
        privacy = {"research": Privacy(policy, self.names, lambda: b"k" * 32)}
        self.house.reception = Reception(self.house.settings, self.house.ways(), self.house.deadlines, privacy)
        self.house.reception.open()
        self.assertEqual(self.house.call(PRINT).rejection, NO_REASON_GIVEN)
