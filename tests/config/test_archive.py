"""Archives: what can be said, and what is a mistake."""

from __future__ import annotations

import os
from datetime import time
from pathlib import Path

from pydicom.uid import CTImageStorage, MRImageStorage
from twisted.trial.unittest import TestCase

from dimseproxy.config import ArchiveSettings, DimseOutbound, Secret, diff_reload, dump
from tests.config.support import NOWHERE, mistakes_of, settings_of

PEERS = """
  pacs: {dimse: {connect: "tcp:192.0.2.10:104", ae_title: PACS}}
  other: {dimse: {connect: "tcp:192.0.2.11:104", ae_title: OTHER}}
routes: [{outbound: local}]
"""
PRIVATE_CLASS = "1.2.276.0.7230010.3.4.1915765545.18030"


def file_of(archive: str) -> str:
    """A file with one archive, called local, beside two peers."""
    return f"outbound:\n  local: {{archive: {{{archive}}}}}{PEERS}"


def archive_of(archive: str, folder: Path = NOWHERE) -> ArchiveSettings:
    """An archive without mistakes."""
    return settings_of(file_of(archive), folder).archives["local"]


def faults_of(archive: str) -> dict[str, str]:
    """The mistakes of an archive, by path below it."""
    return {path.removeprefix("outbound.local.archive."): text for path, text in mistakes_of(file_of(archive)).items()}


class Refusals(TestCase):
    """What the tests of refusals share."""

    def assert_refused(self, archive: str, path: str, reason: str) -> None:
        found = faults_of(archive)
        self.assertEqual(list(found), [path])
        self.assertIn(reason, found[path])


class ArchiveTests(Refusals):
    """What is written is what is read."""

    def test_the_shortest_takes_everything_and_deletes_nothing(self) -> None:
        archive = archive_of("")
        self.assertEqual(archive, ArchiveSettings())
        self.assertIsNone(archive.sop_classes)
        self.assertEqual((archive.retention.days, archive.retention.size), (None, None))
        self.assertEqual((archive.duplicates, archive.study_timeout, archive.dispatch), ("refuse", 60.0, ()))
        self.assertEqual(archive.watermark.refuse_below, 1 << 30)

    def test_peers_and_archives_are_told_apart(self) -> None:
        settings = settings_of(file_of(""))
        self.assertEqual((list(settings.peers), list(settings.archives)), (["pacs", "other"], ["local"]))
        self.assertIsInstance(settings.peers["pacs"], DimseOutbound)

    def test_there_is_one_archive(self) -> None:
        text = "outbound: {a: {archive: {}}, b: {archive: {}}}\nroutes: [{outbound: a}]\n"
        self.assertIn("second archive beside `a`", mistakes_of(text)["outbound.b.archive"])

    def test_an_archive_and_a_peer_need_routes(self) -> None:
        text = "outbound: {a: {archive: {}}, b: {dimse: {connect: 'tcp:h:104', ae_title: B}}}\n"
        self.assertIn("a, b", mistakes_of(text)["routes"])

    def test_a_key_one_level_too_high_is_told_its_place(self) -> None:
        found = mistakes_of("outbound: {a: {duplicates: keep}}\n")
        self.assertEqual(found, {"outbound.a.duplicates": "belongs under `archive:`, one level deeper"})

    def test_an_unknown_key_gets_the_nearest(self) -> None:
        self.assert_refused("retension: {}", "retension", "did you mean `retention`?")

    def test_other_machines_may_not_call_unnamed(self) -> None:
        self.assertIn("applications", mistakes_of('inbound: {a: {dimse: {listen: "tcp:104"}}}\n'))

    def test_its_folder_is_beside_the_file(self) -> None:
        self.assertEqual(archive_of("folder: objects").folder, NOWHERE / "objects")

    def test_its_key_is_not_printed(self) -> None:
        self.patch(os, "environ", {"ARCHIVE_KEY": "b64b64"})
        settings = settings_of(file_of("key: {environment: ARCHIVE_KEY}"))
        self.assertEqual(settings.archives["local"].key, Secret(environment="ARCHIVE_KEY"))
        self.assertNotIn("b64b64", dump(settings))

    def test_what_becomes_of_a_duplicate_is_one_of_three(self) -> None:
        self.assert_refused("duplicates: overwrite", "duplicates", "`keep` or `replace` or `refuse`")

    def test_a_change_waits_for_a_restart(self) -> None:
        old, new = settings_of(file_of("")), settings_of(file_of("retention: {days: 3}"))
        self.assertEqual(diff_reload(old, new), ("outbound.local.archive.retention.days",))

    def test_an_archive_in_the_place_of_a_peer_waits_for_a_restart(self) -> None:
        old = settings_of("outbound: {a: {archive: {}}}\n")
        new = settings_of("outbound: {a: {dimse: {connect: 'tcp:h:104', ae_title: B}}}\n")
        self.assertEqual(diff_reload(old, new), ("outbound.a",))


class SopClassTests(Refusals):
    """`sop_classes`."""

    def test_all_is_a_word(self) -> None:
        self.assertIsNone(archive_of("sop_classes: all").sop_classes)

    def test_they_are_named_by_keyword_or_uid(self) -> None:
        archive = archive_of(f"sop_classes: [CTImageStorage, {MRImageStorage}, {PRIVATE_CLASS}]")
        self.assertEqual(archive.sop_classes, (CTImageStorage, MRImageStorage, PRIVATE_CLASS))

    def test_each_counts_once(self) -> None:
        self.assertEqual(archive_of(f"sop_classes: [CTImageStorage, {CTImageStorage}]").sop_classes, (CTImageStorage,))

    def test_they_are_printed_by_keyword(self) -> None:
        text = dump(settings_of(file_of(f"sop_classes: [{CTImageStorage}, {PRIVATE_CLASS}]")))
        self.assertIn("- CTImageStorage\n", text)
        self.assertIn(f"- {PRIVATE_CLASS}\n", text)

    def test_their_order_is_no_change(self) -> None:
        old = settings_of(file_of("sop_classes: [CTImageStorage, MRImageStorage]"))
        new = settings_of(file_of("sop_classes: [MRImageStorage, CTImageStorage]"))
        self.assertEqual(diff_reload(old, new), ())

    def test_a_misspelt_keyword_gets_the_nearest(self) -> None:
        self.assert_refused("sop_classes: [CTImagestorage]", "sop_classes[0]", "did you mean `CTImageStorage`?")

    def test_a_word_that_is_near_none_does_not_list_them_all(self) -> None:
        self.assert_refused("sop_classes: [xyzzy]", "sop_classes[0]", "write a keyword of PS3.6 Table A-1, or a UID")

    def test_what_is_no_storage_is_refused(self) -> None:
        for written in ("1.2.840.10008.1.1", "1.2.840.10008.1.20.1", "1.2.840.10008.1.2"):
            self.assert_refused(f"sop_classes: [{written}]", "sop_classes[0]", "nothing of that is stored")
        self.assert_refused("sop_classes: [Verification]", "sop_classes[0]", "no storage SOP class")

    def test_what_is_no_uid_is_refused(self) -> None:
        for written in ("1.02.3", "1.2.", "'1'", "1..2", "1.2." + "3" * 64):
            self.assert_refused(f"sop_classes: [{written}]", "sop_classes[0]", "no UID")

    def test_a_number_is_refused(self) -> None:
        self.assert_refused("sop_classes: [1.2]", "sop_classes[0]", "write a keyword such as CTImageStorage")

    def test_none_at_all_is_refused(self) -> None:
        self.assert_refused("sop_classes: []", "sop_classes", "nothing could be stored")

    def test_one_word_is_no_list(self) -> None:
        self.assert_refused("sop_classes: CTImageStorage", "sop_classes", "must be `all` or a list")


class SizeTests(Refusals):
    """Amounts of bytes."""

    def size_of(self, written: str) -> int | None:
        return archive_of(f"retention: {{size: {written}}}").retention.size

    def test_units_are_binary_and_decimal(self) -> None:
        amounts = {"1 B": 1, "2 KiB": 2048, "2KiB": 2048, "1.5 GiB": 3 << 29, "3 TB": 3 * 10**12, '"7 kB"': 7000}
        self.assertEqual({written: self.size_of(written) for written in amounts}, amounts)

    def test_they_are_printed_in_the_largest_unit_that_is_exact(self) -> None:
        self.assertIn("size: 1536 MiB\n", dump(settings_of(file_of("retention: {size: 1.5 GiB}"))))

    def test_an_amount_has_a_unit(self) -> None:
        for written in ("1000", "10 gib", "GiB", "-1 GiB", "[]", "''", "1 GiB free"):
            self.assert_refused(f"retention: {{size: {written}}}", "retention.size", "the units are B, KiB")

    def test_nothing_is_no_amount(self) -> None:
        for written in ("0 B", "0.000 GiB", "999999999 TiB"):
            self.assert_refused(f"watermark: {{refuse_below: {written}}}", "watermark.refuse_below", "above 0")


class DispatchTests(Refusals):
    """`dispatch`."""

    def test_what_is_left_out(self) -> None:
        (dispatch,) = archive_of("dispatch: [{to: pacs}]").dispatch
        self.assertEqual((dispatch.to, dispatch.schedule, dispatch.retries), ("pacs", None, 10))
        self.assertEqual((dispatch.backoff, dispatch.longest_backoff, dispatch.pause), (30.0, 3600.0, None))

    def test_it_must_say_where_to(self) -> None:
        self.assertEqual(faults_of("dispatch: [{}]"), {"dispatch[0]": "lacks `to`, for example `to: pacs`"})

    def test_an_outbound_that_is_not_there_gets_the_nearest(self) -> None:
        self.assert_refused("dispatch: [{to: pasc}]", "dispatch[0].to", "did you mean `pacs`?")

    def test_the_archive_does_not_send_to_itself(self) -> None:
        self.assert_refused("dispatch: [{to: local}]", "dispatch[0].to", "is the archive itself")

    def test_a_destination_is_named_once(self) -> None:
        self.assert_refused("dispatch: [{to: pacs}, {to: other}, {to: pacs}]", "dispatch[2].to", "once is enough")

    def test_the_hours_may_pass_midnight(self) -> None:
        for written, hours in {
            '"20:00-06:30"': (time(20), time(6, 30)),
            "08:00-17:00": (time(8), time(17)),
            "18:00-24:00": (time(18), time(0)),
        }.items():
            (dispatch,) = archive_of(f"dispatch: [{{to: pacs, schedule: {written}}}]").dispatch
            self.assertEqual(dispatch.schedule, hours)

    def test_hours_that_are_none_are_refused(self) -> None:
        for written, reason in {
            "8-17": "must be",
            "08:00": "must be",
            "8:00-17:00": "must be",
            "08:60-09:00": "must be",
            "25:00-26:00": "a day ends at 24:00",
            "24:00-06:00": "a day ends at 24:00",
            "06:00-06:00": "leave the key out",
            "00:00-24:00": "leave the key out",
        }.items():
            self.assert_refused(f"dispatch: [{{to: pacs, schedule: '{written}'}}]", "dispatch[0].schedule", reason)

    def test_the_longest_wait_is_no_shorter_than_the_first(self) -> None:
        found = faults_of("dispatch: [{to: pacs, backoff: 60, longest_backoff: 30}]")
        self.assertIn("shorter than the first wait, 60 s", found["dispatch[0].longest_backoff"])


class DispatchUnderAPolicyTests(TestCase):
    """What leaves the archive by itself may cross a policy as well."""

    def _file(self, policy: str) -> str:
        return file_of("dispatch: [{to: pacs, privacy: research}]") + policy

    def test_a_policy_with_originals_inside(self) -> None:
        settings = settings_of(self._file("privacy: {research: {originals: inbound}}\n"))
        self.assertEqual(settings.archives["local"].dispatch[0].privacy, "research")

    def test_one_the_other_way_round_is_refused(self) -> None:
        found = mistakes_of(self._file("privacy: {research: {originals: outbound}}\n"))
        self.assertIn("write `inbound`", found["outbound.local.archive.dispatch[0].privacy"])

    def test_one_that_is_not_there_is_refused(self) -> None:
        found = mistakes_of(self._file(""))
        self.assertIn("no policy under `privacy`", found["outbound.local.archive.dispatch[0].privacy"])
