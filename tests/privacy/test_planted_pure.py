"""Planted objects: every marker is in its object, and none in what the privacy code makes of it, all in memory."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable, Container, Iterable, Mapping
from importlib import import_module
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identity import Identity
from dimseproxy.privacy.policy import Policy, compile_policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from dimseproxy.privacy.reidentification import Reidentification, UnknownPseudonym
from tests.privacy.searching import finds
from tests.support.planted import (
    CHARACTER_SETS,
    CHINESE,
    JAPANESE,
    KINDS,
    LATIN,
    SYNTAXES,
    UNICODE,
    Planted,
    every_object,
    planted,
    planted_answer,
    planted_step,
    planted_table,
)
from tests.support.planted_markers import found
from tests.support.planted_wire import inflated

KEY = bytes(range(32))


def table_tags() -> list[int]:
    """The tags of Table E.1-1 as another project has them."""
    second_source = import_module("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    lists = [getattr(second_source, name) for name in dir(second_source) if name.endswith("_TAGS")]
    tags = {group << 16 | number for one in lists for group, number, *rest in one if not rest}
    return sorted(tag for tag in tags if pydicom.datadict.dictionary_has_tag(tag))


def parsed(syntax: str, data: bytes) -> Dataset:
    """pydicom's reading of a data set, all of it."""
    plain = inflated(data) if syntax == DeflatedExplicitVRLittleEndian else data
    uid = pydicom.uid.UID(syntax)
    ds = pydicom.filereader.read_dataset(
        io.BytesIO(plain), is_implicit_VR=uid.is_implicit_VR, is_little_endian=uid.is_little_endian
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.walk(lambda _, element: element.value)
    return ds


def pseudonym(identity: Identity) -> str:
    """What the source of these tests answers; the same for the same original, with nothing of it."""
    number = zlib.crc32(f"{identity.kind.value}/{identity.value}".encode())
    return f"2.25.{number + 1}" if identity.kind.is_uid else f"P{number:X}"


class Run:
    """One data set on its way through an editor, fed in pieces."""

    def __init__(self, editor: Any, syntax: str, piece: int, names: Callable[[Identity], str | None]) -> None:
        encoding = encoding_of(syntax)
        assert encoding is not None
        self.editor = editor
        self.names = names
        self.asked: set[Identity] = set()
        self.out: list[bytes] = []
        self.leaks = False
        self._rewriter = Rewriter(encoding, editor)
        self._piece = piece

    def through(self, data: bytes) -> bytes:
        """All of the edited data set."""
        for start in range(0, len(data), self._piece):
            piece = data[start : start + self._piece]
            self._rewriter.feed([memoryview(piece)], start + self._piece >= len(data))
            self._go()
        assert self._rewriter.is_complete
        return b"".join(self.out)

    def _go(self) -> None:
        while True:
            while self._rewriter.work():
                pass
            if not self._rewriter.waits:
                return
            wanted = set(self.editor.wanted())
            self.asked |= wanted
            self.editor.resolve({one: name for one in wanted if (name := self.names(one)) is not None})
            # Before it is deflated.
            written = self._rewriter.written()
            self.leaks = self.leaks or (bool(written) and finds(self.editor.search([written])))
            self.out += [bytes(piece) for piece in self._rewriter.flush()]


def pseudonymised(
    one: Planted, policy: Policy, *, piece: int = 16_000, purpose: Purpose = Purpose.OBJECT
) -> tuple[Run, str, bytes]:
    """A planted object as it leaves towards the side of the pseudonyms."""
    syntax, data = str(SYNTAXES[one.syntax]), one.data_set
    encoding = encoding_of(syntax)
    assert encoding is not None
    run = Run(Pseudonymisation(policy, encoding, purpose, KEY), syntax, piece, pseudonym)
    return run, syntax, run.through(data)


BASIC = compile_policy(profile="basic", burned_in="pass")


class BasicProfile(SynchronousTestCase):
    """The basic profile leaves nothing of what was planted."""

    def leaks(
        self, objects: Iterable[Planted], policy: Policy = BASIC, *, piece: int = 16_000, kept: Container[str] = ()
    ) -> Mapping[str, list[str]]:
        """The markers that survive, by object; `kept` names VRs and keywords that the policy lets cross."""
        survivors = {}
        for one in objects:
            wanted = [marker for marker in one.markers if marker.vr not in kept and marker.keyword not in kept]
            _, _, out = pseudonymised(one, policy, piece=piece)
            places = found(wanted, out + inflated(out))
            if places:
                survivors[f"{one.kind} {one.syntax} {one.character_set.name}"] = places
        return survivors

    def test_no_marker_survives_in_any_kind_and_transfer_syntax(self) -> None:
        self.assertEqual({}, self.leaks(every_object()))

    def test_no_marker_survives_in_any_character_set(self) -> None:
        objects = [planted("report", "explicit", character_set) for character_set in CHARACTER_SETS]
        self.assertEqual({}, self.leaks(objects))

    def test_no_marker_survives_a_byte_at_a_time(self) -> None:
        self.assertEqual({}, self.leaks([planted("enhanced-ct", "explicit", CHINESE)], piece=1))

    def test_no_attribute_of_the_table_survives_at_any_depth(self) -> None:
        tags = table_tags()
        objects = [planted_table(tags, syntax, UNICODE) for syntax in ("implicit", "explicit", "big-endian")]
        self.assertEqual({}, self.leaks(objects))

    def test_no_marker_survives_with_modified_dates_but_times_of_day(self) -> None:
        policy = compile_policy(profile="basic", burned_in="pass", options=["retain-longitudinal-modified-dates"])
        self.assertEqual({}, self.leaks(every_object(), policy, kept=["TM"]))

    def test_no_marker_survives_cleaning(self) -> None:
        policy = compile_policy(
            profile="basic",
            burned_in="pass",
            options=["clean-descriptors", "clean-structured-content", "clean-graphics"],
        )
        self.assertEqual({}, self.leaks(every_object(), policy))

    def test_no_marker_survives_in_answers(self) -> None:
        answers = [planted_answer(level) for level in ("PATIENT", "STUDY", "SERIES", "IMAGE")]
        for one in [*answers, planted_step(JAPANESE)]:
            one.dataset.file_meta = planted().dataset.file_meta
            one.dataset.preamble = b"\0" * 128
            _, _, out = pseudonymised(one, BASIC, purpose=Purpose.ANSWER)
            self.assertEqual([], found(one.markers, out), one.kind)

    def test_the_guard_has_nothing_to_object_to(self) -> None:
        for one in every_object():
            run, _, _ = pseudonymised(one, BASIC)
            self.assertFalse(run.leaks, f"{one.kind} {one.syntax}")

    def test_what_leaves_can_be_read(self) -> None:
        for one in every_object():
            _, syntax, out = pseudonymised(one, BASIC)
            self.assertEqual(one.dataset.SOPClassUID, parsed(syntax, out).SOPClassUID)

    def test_pixels_cross_as_they_are(self) -> None:
        for one in every_object():
            if KINDS[one.kind].bits:
                _, syntax, out = pseudonymised(one, BASIC)
                self.assertEqual(one.dataset.PixelData, parsed(syntax, out).PixelData, f"{one.kind} {one.syntax}")

    def test_patient_and_uids_are_the_sources(self) -> None:
        one = planted("report")
        run, syntax, out = pseudonymised(one, BASIC)
        ds, names = parsed(syntax, out), {pseudonym(identity) for identity in run.asked}
        for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            self.assertIn(ds[keyword].value, names)

    def test_pieces_of_any_size_give_the_same(self) -> None:
        one = planted("report", "implicit")
        results = {pseudonymised(one, BASIC, piece=piece)[2] for piece in (1, 7, 133, 1 << 20)}
        self.assertEqual(1, len(results))


class BackAgain(SynchronousTestCase):
    """What left under pseudonyms comes back with the originals."""

    def returned(self, one: Planted) -> Dataset:
        run, syntax, out = pseudonymised(one, BASIC)
        originals = {pseudonym(identity): identity.value for identity in run.asked}
        encoding = encoding_of(syntax)
        assert encoding is not None
        editor = Reidentification(BASIC, encoding, KEY, UnknownPseudonym.REFUSE)
        return parsed(syntax, Run(editor, syntax, 16_000, lambda it: originals.get(it.value)).through(out))

    def test_every_kind_gets_its_identifiers_back(self) -> None:
        keywords = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        for one in every_object():
            ds = self.returned(one)
            self.assertEqual(
                [one.dataset[keyword].value for keyword in keywords], [ds[keyword].value for keyword in keywords]
            )

    def test_references_in_content_come_back(self) -> None:
        one = planted("report")
        ds = self.returned(one)

        def references(of: Dataset) -> list[str]:
            evidence = of.CurrentRequestedProcedureEvidenceSequence[0]
            series = evidence.ReferencedSeriesSequence[0]
            instance = series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            return [evidence.StudyInstanceUID, series.SeriesInstanceUID, instance]

        self.assertEqual(references(one.dataset), references(ds))

    def test_it_no_longer_says_that_identity_was_removed(self) -> None:
        self.assertNotEqual("YES", self.returned(planted("ct")).get("PatientIdentityRemoved"))


class Burned(SynchronousTestCase):
    """Objects that are said to show text are refused unless a policy says otherwise."""

    def test_secondary_captures_and_documents_are_refused(self) -> None:
        strict = compile_policy(profile="basic")
        for kind in ("secondary-capture", "pdf", "cda"):
            self.assertRaises(OperationRefused, pseudonymised, planted(kind), strict)

    def test_a_ct_image_is_not(self) -> None:
        _, _, out = pseudonymised(planted("ct", character_set=LATIN), compile_policy(profile="basic"))
        self.assertGreater(len(out), 0)
