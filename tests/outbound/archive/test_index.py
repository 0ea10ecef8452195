from __future__ import annotations

import errno
import os
from typing import Any

from attrs import evolve
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive import writing
from dimseproxy.outbound.archive.index import Index
from dimseproxy.outbound.archive.instances import Added, Duplicates, Held, Instance, Outcome
from dimseproxy.outbound.archive.querying import Selection
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from tests.outbound.archive.indexing import CT, MR, a_database, an_instance, answers_to, index_on, studies_found
from tests.support.postgresql import postgresql
from tests.support.process import scratch

RLE = "1.2.840.10008.1.2.5"
ALL = Selection()


class Disk(dict[str, int]):
    """Files and their sizes."""

    def has_file(self, blob: str, size: int | None = None) -> bool:
        return blob in self and size in (None, self[blob])


class SQLiteTests(TestCase):
    def address(self) -> str:
        return f"sqlite:///{scratch(self)}/test.db"

    def seal(self) -> Seal | None:
        return None

    async def index(self, *instances: Instance, **settings: Any) -> Index:
        index = await index_on(await a_database(self, self.address()), seal=self.seal(), **settings)
        await index.add_many(instances)
        return index

    def writes(self, address: str) -> None:
        """Another process begins to write, and does not wait for those who do."""
        engine = create_engine(address, connect_args={"timeout": 0}, poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    async def blobs(self, index: Index) -> list[str]:
        return [stored.blob for stored in (await index.instances(ALL)).stored]

    async def test_patterns_of_names_wherever_their_wildcards_are(self) -> None:
        index = await self.index(an_instance(1, PatientName="DOE^JOHN_7%"), an_instance(2, PatientName="ROE^JANE"))
        for pattern, found in (
            ("*OHN*", ["1"]),
            ("*e^j*", ["1", "2"]),
            ("?OE^*", ["1", "2"]),
            ("*doe^*", ["1"]),
            ("*OHN_7%", ["1"]),
            ("*ANE^*", ["2"]),
            ("*_*", ["1"]),
            ("*^*", ["1", "2"]),
            ("*X*", []),
        ):
            self.assertEqual(await studies_found(index, PatientName=pattern), found, pattern)

    # What becomes of an object

    async def test_a_new_object(self) -> None:
        index = await self.index()
        self.assertEqual(await index.add(an_instance()), Added(Outcome.NEW))

    async def test_the_same_object_again(self) -> None:
        index = await self.index(an_instance())
        self.assertEqual(await index.add(an_instance()), Added(Outcome.IDENTICAL))

    async def test_the_same_data_set_in_another_file(self) -> None:
        index = await self.index(an_instance())
        first = an_instance()
        other = Instance(first.attributes, first.transfer_syntax, "other", 100, first.digest, "OTHER", 2.0)
        self.assertEqual(await index.add(other), Added(Outcome.IDENTICAL, "other", first.blob))

    async def test_another_content_is_left_out(self) -> None:
        first, second = an_instance(), an_instance(content=b"other")
        index = await self.index(first, duplicates=Duplicates.KEEP)
        self.assertEqual(await index.add(second), Added(Outcome.KEPT, second.blob, first.blob))
        self.assertEqual(await self.blobs(index), [first.blob])

    async def test_another_content_is_refused(self) -> None:
        first, second = an_instance(), an_instance(content=b"other")
        index = await self.index(first, duplicates=Duplicates.REFUSE)
        self.assertEqual(await index.add(second), Added(Outcome.REFUSED, second.blob))
        self.assertEqual(await self.blobs(index), [first.blob])

    async def test_another_content_replaces_the_first(self) -> None:
        first, second = an_instance(), an_instance(content=b"other")
        index = await self.index(first, duplicates=Duplicates.REPLACE)
        self.assertEqual(await index.add(second), Added(Outcome.REPLACED, first.blob))
        self.assertEqual(await self.blobs(index), [second.blob])

    async def test_objects_that_come_together_are_told_apart(self) -> None:
        first, second = an_instance(), an_instance(content=b"other")
        index = await self.index(duplicates=Duplicates.REPLACE)
        added = await gatherResults([index.add(one) for one in (first, first, second, an_instance(2))])
        self.assertEqual(
            added,
            [
                Added(Outcome.NEW),
                Added(Outcome.IDENTICAL),
                Added(Outcome.REPLACED, first.blob),
                Added(Outcome.NEW),
            ],
        )

    async def test_what_replaces_corrects_the_patient(self) -> None:
        index = await self.index(an_instance(PatientID="WRONG"), duplicates=Duplicates.REPLACE)
        await index.add(an_instance(PatientID="RIGHT"))
        self.assertEqual([await studies_found(index, PatientID=one) for one in ("WRONG", "RIGHT")], [[], ["1"]])

    async def test_what_replaces_is_the_last_that_was_received(self) -> None:
        first = an_instance(1)
        index = await self.index(first, duplicates=Duplicates.REPLACE)
        later = Instance(first.attributes, RLE, "later", 50, b"later", "SENDER", 9.0)
        await index.add(later)
        (study,) = (await index.studies()).studies
        self.assertEqual((study.last_received, study.instances, study.size), (9.0, 1, 50))

    async def test_what_replaces_leaves_nothing_empty_behind(self) -> None:
        index = await self.index(an_instance(), duplicates=Duplicates.REPLACE)
        await index.add(an_instance(StudyInstanceUID="1.3.9", SeriesInstanceUID="1.4.9", PatientID="P9"))
        self.assertEqual(await studies_found(index), ["9"])

    async def test_what_is_there_is_as_the_first_object_said(self) -> None:
        index = await self.index(an_instance(1))
        await index.add(an_instance(2, StudyInstanceUID="1.3.1", PatientID="OTHER"))
        self.assertEqual([await studies_found(index, PatientID=one) for one in ("P1", "OTHER")], [["1"], []])

    async def test_a_series_stays_in_its_study(self) -> None:
        index = await self.index(an_instance(1))
        await index.add(an_instance(2, SeriesInstanceUID="1.4.1"))
        self.assertEqual(await studies_found(index), ["1"])

    async def test_texts_of_any_length_are_found(self) -> None:
        long = "\N{LATIN SMALL LETTER O WITH STROKE}x" * 4_000
        # The longest that may be asked for: longer than what a column has of it.
        beginning = long[:1_000]
        keywords = ("PatientID", "PatientName", "AccessionNumber")
        objects: list[Instance] = []
        for number, text in enumerate((beginning, long), 1):
            values: dict[str, Any] = dict.fromkeys(keywords, text)
            objects.append(an_instance(number, SpecificCharacterSet="ISO_IR 192", **values))
        index = await self.index(*objects)
        for keyword in keywords:
            for key, found in ((beginning, ["1"]), (beginning + "*", ["1", "2"])):
                asked: dict[str, Any] = {"SpecificCharacterSet": "ISO_IR 192", keyword: key}
                self.assertEqual(await studies_found(index, **asked), found, keyword)

    async def test_a_nul_in_a_text_disturbs_nobody(self) -> None:
        index = await self.index(an_instance(1, PatientID="A\0B", PatientName="A\0B", Modality="C\0T"))
        for keyword, text in (("PatientID", "A\0B"), ("PatientName", "A\0*"), ("ModalitiesInStudy", "CT")):
            asked: dict[str, Any] = {keyword: text}
            self.assertEqual(await studies_found(index, **asked), ["1"], keyword)

    async def test_the_database_is_gone(self) -> None:
        kept = await a_database(self, self.address())
        index = await index_on(kept, seal=self.seal())
        await kept.stop()
        await self.assertFailure(index.add(an_instance()), DatabaseUnavailable)

    # What is told of objects

    async def test_a_retrieve_is_told_of_its_objects(self) -> None:
        index = await self.index(*(an_instance(number) for number in (1, 2, 3)))
        for selection, expected in (
            (Selection(studies=frozenset({"1.3.1", "1.3.3"})), ["1.5.1", "1.5.3"]),
            (Selection(patients=frozenset({"P2"})), ["1.5.2"]),
            (Selection(series=frozenset({"1.4.2"})), ["1.5.2"]),
            (Selection(instances=frozenset({"1.5.3"})), ["1.5.3"]),
            (Selection(patients=frozenset({"P1"}), studies=frozenset({"1.3.2"})), []),
        ):
            page = await index.instances(selection)
            self.assertEqual(([one.sop_instance for one in page.stored], page.total), (expected, len(expected)))

    async def test_an_object_is_told_as_it_was_added(self) -> None:
        added = an_instance()
        (stored,) = (await (await self.index(added)).instances(ALL)).stored
        self.assertEqual(
            (stored.sop_class, stored.sop_instance, stored.transfer_syntax, stored.blob, stored.size),
            (CT, "1.5.1", added.transfer_syntax, added.blob, 100),
        )

    async def test_a_large_study_is_told_in_pages(self) -> None:
        index = await self.index(*(an_instance(number, StudyInstanceUID="1.3.1") for number in range(1, 702)))
        first = await index.instances(Selection(studies=frozenset({"1.3.1"})))
        assert first.next is not None
        second = await index.instances(Selection(studies=frozenset({"1.3.1"})), first.next)
        uids = {one.sop_instance for one in (*first.stored, *second.stored)}
        self.assertEqual((len(uids), first.total, second.next), (701, 701, None))

    async def test_what_a_retrieve_will_bring(self) -> None:
        index = await self.index(an_instance(1), an_instance(2), an_instance(3, SOPClassUID=MR))
        syntax = an_instance().transfer_syntax
        self.assertEqual(await index.stored_syntaxes(ALL), [(CT, syntax, 2), (MR, syntax, 1)])

    async def test_transfer_syntaxes_come_commonest_first(self) -> None:
        instances = [an_instance(number) for number in range(1, 4)]
        odd = instances[0]
        instances[0] = Instance(odd.attributes, RLE, odd.blob, 100, odd.digest, "SENDER", 1.0)
        index = await self.index(*instances)
        found = await index.transfer_syntaxes([CT, MR])
        self.assertEqual(found, {CT: (instances[1].transfer_syntax, RLE)})

    async def test_it_knows_what_it_holds(self) -> None:
        first = an_instance(1)
        index = await self.index(first, an_instance(2))
        held = await index.holds([(CT, "1.5.1"), (MR, "1.5.2"), (CT, "1.5.3")])
        self.assertEqual(held, {(CT, "1.5.1"): Held(first.blob, first.size)})

    async def test_it_knows_which_files_it_needs(self) -> None:
        first = an_instance(1)
        index = await self.index(first)
        self.assertEqual([await index.uses(first.blob), await index.uses("other")], [True, False])

    async def test_a_file_that_an_object_is_in_is_not_deleted(self) -> None:
        first = an_instance(1)
        index = await self.index(first)
        self.assertFalse(await index.release(first.blob, lambda: self.fail("it is needed")))

    async def test_one_that_no_object_is_in_is_deleted_if_its_files_say_so(self) -> None:
        index = await self.index()
        self.assertEqual(
            [await index.release("other", lambda: True), await index.release("other", lambda: False)], [True, False]
        )

    async def test_an_object_whose_file_is_gone_is_not_written(self) -> None:
        first, second = an_instance(1), an_instance(2)
        index = await self.index(has_file=lambda blob, *size: blob == second.blob)
        added = await index.add_many([first, second])
        self.assertEqual([each.outcome for each in added], [Outcome.GONE, Outcome.NEW])
        self.assertEqual((await index.blobs()).blobs, (second.blob,))

    async def test_it_takes_no_place_then(self) -> None:
        there = an_instance(1)
        index = await self.index(there, has_file=lambda blob, *size: blob == there.blob, duplicates=Duplicates.REPLACE)
        (added,) = await index.add_many([an_instance(1, b"other")])
        self.assertEqual(added, Added(Outcome.GONE))
        self.assertEqual((await index.blobs()).blobs, (there.blob,))

    async def test_what_lost_its_file_is_written_again_though_its_data_set_is_known(self) -> None:
        first = an_instance()
        again = evolve(first, blob="other", sender="OTHER")
        for duplicates in Duplicates:
            there = Disk({first.blob: 100, again.blob: 100})
            index = await self.index(first, has_file=there.has_file, duplicates=duplicates)
            del there[first.blob]
            self.assertEqual(await index.add(again), Added(Outcome.REPLACED, first.blob))
            self.assertEqual((await index.blobs()).blobs, ("other",))

    async def test_what_lost_its_file_gives_way_to_another_content(self) -> None:
        first, other = an_instance(), an_instance(content=b"other")
        for duplicates in Duplicates:
            there = Disk({first.blob: 100, other.blob: 100})
            index = await self.index(first, has_file=there.has_file, duplicates=duplicates)
            del there[first.blob]
            self.assertEqual(await index.add(other), Added(Outcome.REPLACED, first.blob))
            self.assertEqual((await index.blobs()).blobs, (other.blob,))

    async def test_where_the_disk_does_not_say_what_is_there_nothing_gives_way(self) -> None:
        first, other, beside = an_instance(), an_instance(content=b"other"), an_instance(2)

        def has_file(blob: str, size: int | None = None) -> bool:
            if blob == first.blob and is_broken:
                raise OSError(errno.EIO, "Input/output error")
            return True

        for duplicates in Duplicates:
            is_broken = False
            index = await self.index(first, has_file=has_file, duplicates=duplicates)
            is_broken = True
            added = await index.add_many([other, beside])
            self.assertEqual(added, [Added(Outcome.UNKNOWN, other.blob), Added(Outcome.NEW)])
            self.assertEqual((await index.blobs()).blobs, (first.blob, beside.blob))

    async def test_an_object_whose_file_is_shorter_gives_way_to_the_same_one(self) -> None:
        first = an_instance()
        again = evolve(first, blob="other", sender="OTHER")
        for duplicates in Duplicates:
            there = Disk({first.blob: 100, again.blob: 100})
            index = await self.index(first, has_file=there.has_file, duplicates=duplicates)
            self.assertEqual(await index.add(again), Added(Outcome.IDENTICAL, again.blob, first.blob))
            there[first.blob] -= 1
            self.assertEqual(await index.add(again), Added(Outcome.REPLACED, first.blob))
            self.assertEqual((await index.blobs()).blobs, ("other",))

    async def test_so_does_one_whose_file_the_disk_does_not_give(self) -> None:
        first, is_broken = an_instance(), False

        def has_file(blob: str, size: int | None = None) -> bool:
            if is_broken and blob == first.blob:
                raise OSError(errno.EIO, "Input/output error")
            return True

        index = await self.index(first, has_file=has_file)
        is_broken = True
        again = evolve(first, blob="other", sender="OTHER")
        self.assertEqual(await index.add(again), Added(Outcome.REPLACED, first.blob))

    async def test_while_a_file_is_deleted_nobody_else_can_write(self) -> None:
        address = self.address()
        index = await index_on(await a_database(self, address), seal=self.seal())

        def delete() -> bool:
            self.assertRaises(OperationalError, self.writes, address)
            return True

        self.assertTrue(await index.release("other", delete))
        self.writes(address)

    async def test_all_files_are_told(self) -> None:
        instances = [an_instance(number) for number in range(1, 4)]
        page = await (await self.index(*instances)).blobs()
        self.assertEqual((page.blobs, page.next), (tuple(one.blob for one in instances), None))

    async def test_studies_are_summed_up(self) -> None:
        index = await self.index(
            an_instance(1),
            an_instance(2, StudyInstanceUID="1.3.1", Modality="MR", sender="OTHER"),
            an_instance(3, StudyInstanceUID="1.3.1", SeriesInstanceUID="1.4.1"),
        )
        (study,) = (await index.studies()).studies
        self.assertEqual((study.study, study.modalities, study.senders), ("1.3.1", ("CT", "MR"), ("OTHER", "SENDER")))
        self.assertEqual((study.series, study.instances, study.size), (2, 3, 300))
        self.assertEqual((study.first_received, study.last_received), (1.0, 3.0))

    # What leaves

    async def test_a_study_is_removed_with_all_that_is_in_it(self) -> None:
        first, second = an_instance(1), an_instance(2)
        index = await self.index(first, second)
        self.assertEqual(await index.remove_study("1.3.1"), [first.blob])
        self.assertEqual((await studies_found(index), await self.blobs(index)), (["2"], [second.blob]))

    async def test_removed_objects_count_no_more(self) -> None:
        index = await self.index(an_instance(1), an_instance(2, StudyInstanceUID="1.3.1", SeriesInstanceUID="1.4.1"))
        await index.remove_instances(["1.5.2"])
        (answer,) = await answers_to(index, NumberOfStudyRelatedInstances="")
        self.assertEqual(answer.NumberOfStudyRelatedInstances, 1)

    async def test_what_was_removed_can_come_again(self) -> None:
        index = await self.index(an_instance())
        await index.remove_study("1.3.1")
        self.assertEqual(await index.add(an_instance()), Added(Outcome.NEW))

    async def test_nothing_is_left_when_it_is_cleared(self) -> None:
        index = await self.index(an_instance(1), an_instance(2))
        await index.clear()
        self.assertEqual((await studies_found(index), await self.blobs(index)), ([], []))

    # Several proxies

    async def test_two_that_add_to_one_study_lose_no_count(self) -> None:
        address = self.address()
        kept = [await a_database(self, address) for _ in range(2)]
        seal = self.seal()
        indexes = [await index_on(one, seal=seal) for one in kept]
        instances = [
            an_instance(number, StudyInstanceUID="1.3.1", SeriesInstanceUID=f"1.4.{number % 3}", PatientID="P")
            for number in range(200)
        ]
        added = await gatherResults([indexes[at % 2].add(one) for at, one in enumerate(instances + instances)])
        (answer,) = await answers_to(indexes[0], NumberOfStudyRelatedInstances="", NumberOfStudyRelatedSeries="")
        counts = (answer.NumberOfStudyRelatedInstances, answer.NumberOfStudyRelatedSeries)
        self.assertEqual((counts, [one.outcome for one in added].count(Outcome.NEW)), ((200, 3), 200))


class SealedTests(SQLiteTests):
    """The same, under a key."""

    material = os.urandom(32)

    def seal(self) -> Seal | None:
        return Seal([self.material])


class PostgreSQLTests(SQLiteTests):
    """The same, on PostgreSQL."""

    def address(self) -> str:
        return postgresql().url()

    def writes(self, address: str) -> None:
        with create_engine(address, poolclass=NullPool).connect() as connection:
            connection.exec_driver_sql("SET lock_timeout = 1")
            writing.lock(connection)


class KeyTests(TestCase):
    """Whose key it is that an index is under."""

    async def reopened(self, kept: Database, seal: Seal | None) -> Index:
        return await index_on(kept, seal=seal)

    async def refuses(self, before: Seal | None, after: Seal | None) -> None:
        kept = await a_database(self)
        await (await self.reopened(kept, before)).add(an_instance())
        with self.assertRaises(DatabaseRefused):
            await self.reopened(kept, after)

    async def test_another_key_is_refused(self) -> None:
        await self.refuses(Seal([os.urandom(32)]), Seal([os.urandom(32)]))

    async def test_no_key_is_refused(self) -> None:
        await self.refuses(Seal([os.urandom(32)]), None)

    async def test_a_key_for_an_index_in_the_clear_is_refused(self) -> None:
        await self.refuses(None, Seal([os.urandom(32)]))

    async def test_an_index_that_is_empty_takes_any_key(self) -> None:
        kept = await a_database(self)
        await self.reopened(kept, None)
        index = await self.reopened(kept, Seal([os.urandom(32)]))
        self.assertEqual(await studies_found(index), [])

    async def test_a_newer_key_reads_what_the_older_wrote(self) -> None:
        kept, older, newer = await a_database(self), os.urandom(32), os.urandom(32)
        await (await self.reopened(kept, Seal([older]))).add(an_instance(1))
        index = await self.reopened(kept, Seal([newer, older]))
        await index.add(an_instance(2, PatientID="P1"))
        self.assertEqual(await studies_found(index, PatientID="P1"), ["1", "2"])

    async def test_an_index_is_cleared_for_another_key(self) -> None:
        kept, newer = await a_database(self), Seal([os.urandom(32)])
        await (await self.reopened(kept, Seal([os.urandom(32)]))).add(an_instance(1))
        await Index(kept, IReactorTime(reactor), "ARCHIVE", lambda *blob: True, seal=newer).clear()
        index = await self.reopened(kept, newer)
        self.assertEqual(await index.add(an_instance(1)), Added(Outcome.NEW))
