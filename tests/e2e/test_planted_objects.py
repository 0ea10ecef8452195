"""The planted objects are what they claim to be; else no test that uses them could fail."""

from __future__ import annotations

import base64
import io
import itertools
from datetime import datetime, timedelta
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from tests.support.planted import (
    CHARACTER_SETS,
    CYRILLIC,
    JAPANESE,
    KINDS,
    SYNTAXES,
    Planted,
    combinations,
    every_object,
    planted,
    planted_step,
)
from tests.support.planted_markers import Marker, Mint, forms, found
from tests.support.planted_wire import inflated

PLACES = (
    "PatientID",
    "OtherPatientIDsSequence/PatientID",
    "ReferencedPatientSequence/ReferencedSOPInstanceUID",
    "RequestAttributesSequence/AccessionNumber",
    "RequestAttributesSequence/Private0041/PrivateSequence/PatientName",
    "OriginalAttributesSequence/ModifiedAttributesSequence/PatientName",
    "OriginalAttributesSequence/ModifiedAttributesSequence/RequestAttributesSequence/AccessionNumber",
    "Private0009/PrivateLO",
    "Private0009/PrivateFD",
    "Private0009/PrivateSequence/PatientID",
    "Private0009/UnknownSequence/PatientName",
    "IconImageSequence/PixelData",
    "Overlay6000/OverlayData",
    "Overlay601E/OverlayComments",
    "Curve5000/CurveLabel",
    "DigitalSignaturesSequence/CertificateOfSigner",
    "DataSetTrailingPadding",
    "FileMeta/SourceApplicationEntityTitle",
    "Preamble",
)
"""Where every object has a marker, whatever its kind."""

PLACES_OF_KIND = {
    "enhanced-ct": "PerFrameFunctionalGroupsSequence[3]/FrameContentSequence/FrameComments",
    "report": "ContentSequence[section]/ContentSequence/TextValue",
    "presentation": "GraphicAnnotationSequence/TextObjectSequence/UnformattedTextValue",
    "pdf": "EncapsulatedDocument",
    "cda": "EncapsulatedDocument",
    "plan": "BeamSequence/TreatmentMachineName",
    "waveform": "AcquisitionContextSequence/PersonName",
}


def content_of(one: Planted) -> bytes:
    """The file, and what is deflated in it inflated."""
    return one.content + inflated(one.data_set)


class Factory(SynchronousTestCase):
    """What `planted` makes."""

    def test_every_marker_is_in_its_object(self) -> None:
        missing = {
            (one.kind, one.syntax, marker.place)
            for one in every_object()
            for content in [content_of(one)]
            for marker in one.markers
            if not any(form in content for form in marker.encoded)
        }
        self.assertEqual(set(), missing)

    def test_every_marker_is_in_its_object_in_every_character_set(self) -> None:
        missing = {
            (kind, character_set.name, marker.place)
            for kind, character_set in itertools.product(KINDS, CHARACTER_SETS)
            for one in [planted(kind, "explicit", character_set)]
            for content in [one.content]
            for marker in one.markers
            if not any(form in content for form in marker.encoded)
        }
        self.assertEqual(set(), missing)

    def test_every_marker_is_found(self) -> None:
        one = planted("report", character_set=CYRILLIC)
        self.assertEqual([marker.place for marker in one.markers], found(one.markers, one.content))

    def test_no_two_markers_of_an_object_are_the_same(self) -> None:
        for one in every_object():
            values = [(marker.text, marker.binary) for marker in one.markers]
            self.assertEqual(len(values), len(set(values)), one.kind)

    def test_every_place_where_identity_hides_has_a_marker(self) -> None:
        for one in every_object():
            places = {marker.place for marker in one.markers}
            expected = {*PLACES, PLACES_OF_KIND.get(one.kind, "PatientID")}
            self.assertEqual(set(), expected - places, one.kind)

    def test_every_transfer_syntax_has_an_object(self) -> None:
        self.assertEqual(set(SYNTAXES), {syntax for _, syntax in combinations()})

    def test_objects_of_a_subject_share_patient_and_study_and_no_more(self) -> None:
        first, second = planted(number=1).dataset, planted("report", number=2).dataset
        shared = [
            first[keyword].value == second[keyword].value
            for keyword in ("PatientID", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        ]
        self.assertEqual([True, True, True, False, False], shared)

    def test_an_object_of_another_subject_has_other_values(self) -> None:
        here, there = planted("report"), planted("report", subject="subject 2")
        of_time = ("DA", "DT", "AS")
        self.assertEqual([], found([one for one in here.markers if one.vr not in of_time], there.content))

    def test_no_shift_of_up_to_a_year_makes_one_date_marker_of_another(self) -> None:
        days = {
            datetime.strptime(marker.text[:8], "%Y%m%d")
            for one in every_object()
            for marker in one.markers
            if marker.vr in ("DA", "DT")
        }
        near = [day for day in days if any(day - timedelta(days=shift) in days for shift in range(1, 366))]
        self.assertEqual([], near)

    def test_a_pixel_shows_no_marker(self) -> None:
        for one in every_object():
            if "PixelData" in one.dataset:
                self.assertEqual([], found(one.markers, one.dataset.PixelData))

    def test_a_scheduled_step_holds_its_markers(self) -> None:
        step = planted_step(JAPANESE)
        step.dataset.file_meta = planted().dataset.file_meta
        buffer = io.BytesIO()
        step.dataset.save_as(buffer, implicit_vr=False, little_endian=True)
        self.assertEqual(len(step.markers), len(found(step.markers, buffer.getvalue())))


class Forms(SynchronousTestCase):
    """A marker is known in the forms that software gives to a value."""

    def setUp(self) -> None:
        mint = Mint("somebody", CYRILLIC)
        mint.value("LT", "PatientComments")
        mint.value("DA", "PatientBirthDate")
        mint.value("UI", "StudyInstanceUID")
        self.word, self.script, self.date, self.uid = mint.markers

    def seen(self, marker: Marker, data: bytes) -> None:
        self.assertEqual([marker.place], found([marker], b"before " + data + b" behind"))

    def test_in_the_character_set_of_its_data_set(self) -> None:
        self.seen(self.script, self.script.text.encode("iso8859-5"))

    def test_in_unicode(self) -> None:
        for codec in ("utf-8", "utf-16-le", "utf-16-be"):
            self.seen(self.script, self.script.text.encode(codec))

    def test_in_other_case(self) -> None:
        self.seen(self.word, self.word.text.lower().encode())

    def test_in_a_repr(self) -> None:
        self.seen(self.script, repr(self.script.text.encode()).encode())

    def test_in_hexadecimal_digits(self) -> None:
        self.seen(self.word, self.word.text.encode().hex().encode())

    def test_in_base64_wherever_it_begins(self) -> None:
        for before in (b"", b"x", b"xy"):
            self.seen(self.word, base64.b64encode(before + self.word.text.encode() + b"and more"))

    def test_in_a_url(self) -> None:
        self.seen(self.script, quote(self.script.text).encode())

    def test_a_date_as_people_write_it(self) -> None:
        text = self.date.text
        self.seen(self.date, f"{text[:4]}-{text[4:6]}-{text[6:]}".encode())

    def test_the_number_in_a_uid(self) -> None:
        self.seen(self.uid, b"2.25." + self.uid.text.split(".")[-2].encode())

    def test_not_where_it_is_not(self) -> None:
        self.assertEqual([], found([self.word, self.script, self.date, self.uid], bytes(range(256)) * 16))

    def test_no_form_is_so_short_that_chance_could_make_it(self) -> None:
        shortest = min(len(form) for marker in planted("report").markers for form in forms(marker))
        self.assertGreaterEqual(shortest, 4)
