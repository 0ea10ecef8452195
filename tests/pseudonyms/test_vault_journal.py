"""A vault in a SQLite file: what its journal has, and the table has not yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms import vault as vault_module
from dimseproxy.pseudonyms import vault_entries
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.keys import Key
from dimseproxy.pseudonyms.vault import Vault
from dimseproxy.storage.errors import DatabaseUnavailable
from dimseproxy.storage.journal import Journal
from dimseproxy.storage.journal_file import JournalFile
from tests.pseudonyms.vaults import (
    IDENTITIES,
    NEW,
    NEWER,
    OLD,
    PATIENT,
    SERIES,
    STUDY,
    VaultCase,
    back,
    instances,
    itself,
    kept,
    made,
    patched,
)
from tests.storage.databases import execute

OTHER = Identity(Kind.PATIENT, "somebody else")
ROWS = execute("SELECT count(*) FROM vault_entry")


class JournalCase(VaultCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        # So that nothing goes to the table by itself.
        self.patch(vault_entries, "DELAY", 3_600.0)

    async def journalled(self, vault: Vault, identities: list[Identity]) -> dict[Identity, str]:
        """Pseudonyms that are kept, and not in the table."""
        answer = await vault.pseudonyms_of(identities)
        await kept(answer)
        return dict(answer.values)

    async def left(self, *keys: Key, identities: list[Identity] | None = None) -> dict[Identity, str]:
        """What a process with these keys has kept in its journal alone when it was killed."""
        vault = await self.vault(*keys)
        pseudonyms = await self.journalled(vault, list(IDENTITIES) if identities is None else identities)
        await self.kill(vault)
        return pseudonyms

    async def rows(self) -> object:
        return (await self.database.read(ROWS))[0][0]


class KeptTests(JournalCase):
    async def test_what_is_kept_is_not_in_the_table_yet(self) -> None:
        await self.journalled(await self.vault(), [STUDY])
        self.assertEqual(await self.rows(), 0)

    async def test_it_is_kept_for_who_asks_again(self) -> None:
        vault = await self.vault()
        await self.journalled(vault, [STUDY])
        self.assertIsNone((await vault.pseudonyms_of([STUDY])).kept)

    async def test_the_table_has_it_a_little_later(self) -> None:
        self.patch(vault_entries, "DELAY", 0.01)
        moved = self.next_transaction()
        await self.journalled(await self.vault(), [STUDY])
        await moved
        self.assertEqual(await self.rows(), 1)

    async def test_many_rows_wait_for_no_others(self) -> None:
        self.patch(vault_entries, "MOST_TOGETHER", 3)
        moved = self.next_transaction()
        await self.journalled(await self.vault(), instances(3))
        await moved
        self.assertEqual(await self.rows(), 3)

    def next_transaction(self) -> Deferred[None]:
        """Fires when rows have gone to the table."""
        moved: Deferred[None] = Deferred()
        forget = Journal.forget

        def seen(journal: Journal, count: int) -> None:
            forget(journal, count)
            moved.callback(None)

        self.patch(Journal, "forget", seen)
        return moved

    async def test_a_stop_brings_all_of_it_into_the_table(self) -> None:
        vault = await self.vault()
        await self.journalled(vault, instances(1_200))
        await vault.stop()
        self.assertEqual(await self.rows(), 1_200)
        self.assertEqual(self.journals(), [])

    async def test_a_stop_waits_for_what_is_not_kept_yet(self) -> None:
        vault = await self.vault()
        answer = await vault.pseudonyms_of(IDENTITIES)
        await vault.stop()
        assert answer.kept is not None
        self.successResultOf(answer.kept)
        self.assertEqual(await self.rows(), 4)

    async def test_it_can_be_stopped_twice_and_started_again(self) -> None:
        vault = await self.vault()
        before = await self.journalled(vault, [STUDY])
        await vault.stop()
        await vault.stop()
        await vault.start()
        await vault.start()
        self.assertEqual(await back(vault, before), itself([STUDY]))

    async def test_a_stop_during_the_start_leaves_nothing_open(self) -> None:
        vault = await self.vault()
        await vault.stop()
        started, stopped = vault.start(), vault.stop()
        await started
        await stopped
        self.assertEqual(self.journals(), [])
        self.failureResultOf(vault.pseudonyms_of([STUDY]), SourceUnavailable)

    async def test_a_journal_that_takes_nothing_fails_and_comes_back(self) -> None:
        vault = await self.vault()
        before = await self.journalled(vault, [SERIES])
        with patched(JournalFile, "append", _no_room):
            answer = await vault.pseudonyms_of([STUDY])
            assert answer.kept is not None
            await self.assertFailure(answer.kept, SourceUnavailable)
        again = await self.journalled(vault, [STUDY])
        self.assertEqual(again, answer.values)
        await self.kill(vault)
        self.assertEqual(await back(await self.vault(), {**before, **again}), itself([STUDY, SERIES]))


class KilledTests(JournalCase):
    async def test_the_way_back_is_there_after_the_restart(self) -> None:
        before = await self.left()
        self.assertEqual(await self.rows(), 0)
        self.assertEqual(await back(await self.vault(), before), itself(IDENTITIES))

    async def test_the_rows_are_in_the_table_and_the_journal_is_gone(self) -> None:
        await self.left()
        (journal,) = self.journals()
        content = journal.read_bytes()
        await self.vault()
        self.assertEqual(await self.rows(), 4)
        self.assertNotIn(content, [path.read_bytes() for path in self.journals()])

    async def test_many_rows(self) -> None:
        identities = instances(1_300)
        before = await self.left(identities=identities)
        self.assertEqual(await back(await self.vault(), before), itself(identities))

    async def test_a_journal_of_rows_that_the_table_has_changes_nothing(self) -> None:
        vault = await self.vault()
        before = await made(vault, IDENTITIES)
        (journal,) = self.journals()
        content = journal.read_bytes()
        await vault.stop()
        for _ in range(2):
            journal.write_bytes(content)
            vault = await self.vault()
            self.assertEqual(await self.rows(), 4)
            self.assertEqual(await back(vault, before), itself(IDENTITIES))
            await vault.stop()

    async def test_a_torn_last_record_is_left_out(self) -> None:
        vault = await self.vault()
        before = await self.journalled(vault, [STUDY])
        await self.journalled(vault, [SERIES])
        await self.kill(vault)
        (journal,) = self.journals()
        journal.write_bytes(journal.read_bytes().rstrip(b"\0")[:-1])
        vault = await self.vault()
        self.assertEqual(await back(vault, before), itself([STUDY]))
        self.assertEqual(await self.rows(), 1)

    async def test_a_damaged_journal_is_refused_and_stays(self) -> None:
        vault = await self.vault()
        for identity in IDENTITIES:
            await self.journalled(vault, [identity])
        await self.kill(vault)
        (journal,) = self.journals()
        content = bytearray(journal.read_bytes())
        content[60] ^= 1
        journal.write_bytes(content)
        await self.assertFailure(ensureDeferred(self.started()), SourceRefused)
        self.assertEqual([path.read_bytes() for path in self.journals()], [content])

    async def test_a_journal_of_another_vault_is_not_taken_over(self) -> None:
        await self.left()
        await self.vault(name="default.1")
        self.assertEqual(await self.rows(), 0)

    async def test_the_journal_under_the_name_of_another_vault_is_refused(self) -> None:
        await self.left()
        (journal,) = self.journals()
        journal.rename(self.file.with_name("test.db-vault-another.1"))
        await self.assertFailure(ensureDeferred(self.started(name="another")), SourceRefused)

    async def test_a_table_that_takes_nothing_leaves_the_journal_for_the_next_start(self) -> None:
        before = await self.left()
        run = self.database.run
        self.patch(self.database, "run", lambda work: fail(DatabaseUnavailable("gone")))
        await self.assertFailure(ensureDeferred(self.started()), SourceUnavailable)
        self.patch(self.database, "run", run)
        self.assertEqual(await back(await self.vault(), before), itself(IDENTITIES))


class BesideTests(JournalCase):
    async def test_two_processes_have_a_journal_each(self) -> None:
        one, other = await self.vault(), await self.vault(beside=True)
        self.assertEqual(len(self.journals()), 2)
        first, second = await self.journalled(one, [STUDY]), await self.journalled(other, [SERIES, STUDY])
        self.assertEqual(first[STUDY], second[STUDY])
        await one.stop()
        await other.stop()
        self.assertEqual(await self.rows(), 2)

    async def test_the_journal_of_one_that_lives_is_left_alone(self) -> None:
        one = await self.vault()
        before = await self.journalled(one, [STUDY])
        await (await self.vault(beside=True)).stop()
        self.assertEqual(await self.rows(), 0)
        await self.kill(one)
        self.assertEqual(await back(await self.vault(), before), itself([STUDY]))

    async def test_what_only_the_journal_of_another_has_is_found(self) -> None:
        one, other = await self.vault(), await self.vault(beside=True)
        before = await self.journalled(one, list(IDENTITIES))
        self.assertEqual(await back(other, before), itself(IDENTITIES))
        self.assertEqual(await self.rows(), 0)

    async def test_nobodys_pseudonym_stays_unknown_beside_another(self) -> None:
        one, other = await self.vault(), await self.vault(beside=True)
        await self.journalled(one, [STUDY])
        self.assertEqual(await other.originals_of([STUDY, OTHER]), {})

    async def test_what_goes_to_the_table_meanwhile_is_found(self) -> None:
        one, other = await self.vault(), await self.vault(beside=True)
        before = await self.journalled(one, [STUDY])
        of_others = Journal.of_others

        def gone() -> Deferred[bool]:
            return one.stop().addCallback(lambda _: True)

        def too_late(journal: Journal, hints: Collection[bytes]) -> list[bytes]:
            # The other one has brought its rows into the table and has gone, since this one looked into it.
            is_gone: bool = blockingCallFromThread(IReactorFromThreads(reactor), gone)  # type: ignore[arg-type]
            self.assertTrue(is_gone)
            return of_others(journal, hints)

        self.patch(Journal, "of_others", too_late)
        self.assertEqual(await back(other, before), itself([STUDY]))

    async def test_a_journal_of_another_that_is_damaged_is_no_reason_to_find_nothing(self) -> None:
        one, other = await self.vault(), await self.vault(beside=True)
        before = await self.journalled(one, [STUDY])
        await self.journalled(one, [SERIES])
        (journal, *_) = self.journals()
        content = bytearray(journal.read_bytes())
        content[30] ^= 1
        journal.write_bytes(content)
        await self.assertFailure(back(other, before), SourceRefused)


class TableTests(JournalCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.patch(vault_entries, "RETRY_AFTER", 0.01)
        self.is_gone = False
        run = self.database.run

        def sometimes(work: Any) -> Deferred[Any]:
            return fail(DatabaseUnavailable("locked")) if self.is_gone else run(work)

        self.patch(self.database, "run", sometimes)

    async def test_a_table_that_takes_nothing_keeps_nobody_waiting(self) -> None:
        vault = await self.vault()
        self.is_gone = True
        pseudonyms = await self.journalled(vault, [STUDY])
        await vault.settled()
        self.assertEqual(await back(vault, pseudonyms), itself([STUDY]))
        self.assertIsNone((await vault.pseudonyms_of([STUDY])).kept)

    async def test_it_is_tried_again(self) -> None:
        vault = await self.vault(most_queued=2)
        self.is_gone = True
        pseudonyms = await self.journalled(vault, [STUDY, SERIES])
        await vault.settled()
        self.failureResultOf(vault.pseudonyms_of([PATIENT]), SourceUnavailable)
        self.is_gone = False
        await vault.settled()
        self.assertEqual(await self.rows(), 2)
        await made(vault, [PATIENT])
        self.assertEqual(await back(await self.vault(), pseudonyms), itself([STUDY, SERIES]))

    async def test_what_waits_is_there_after_a_stop(self) -> None:
        vault = await self.vault()
        pseudonyms = await self.journalled(vault, [STUDY])
        self.is_gone = True
        await vault.stop()
        self.assertEqual(len(self.journals()), 1)
        self.is_gone = False
        self.assertEqual(await back(await self.vault(), pseudonyms), itself([STUDY]))


class KeyTests(JournalCase):
    """The journal of a process that was killed, and keys that changed meanwhile."""

    async def test_a_row_under_the_old_key_stays_the_pseudonym(self) -> None:
        before = await self.left(OLD)
        vault = await self.vault(NEW, OLD)
        self.assertEqual(await back(vault, before), itself(IDENTITIES))
        self.assertEqual(await made(vault, IDENTITIES), before)

    async def test_the_old_key_may_go_then(self) -> None:
        before = await self.left(OLD)
        await self.vault(NEW, OLD)
        vault = await self.vault(NEW)
        self.assertEqual(await made(vault, IDENTITIES), before)
        self.assertEqual(await back(vault, before), itself(IDENTITIES))

    async def test_a_key_that_is_missing_is_refused_and_nothing_is_lost(self) -> None:
        before = await self.left(OLD)
        await self.assertFailure(ensureDeferred(self.started(NEW)), SourceRefused)
        self.assertEqual(await back(await self.vault(NEW, OLD), before), itself(IDENTITIES))

    async def rotated(self) -> tuple[dict[Identity, str], dict[Identity, str]]:
        """
        A journal under the old key where the vault is under the new one, which should not be but after a restore.

        @return: the pseudonyms of the journal, and those of the vault: another one for the study.
        """
        before = await self.left(OLD)
        (journal,) = self.journals()
        content = journal.read_bytes()
        journal.unlink()
        after = await made(await self.vault(NEW, OLD), [STUDY, OTHER])
        await self.end_all()
        journal.write_bytes(content)
        return before, after

    async def test_the_journal_of_an_older_key_is_not_lost(self) -> None:
        before, after = await self.rotated()
        vault = await self.vault(NEW, OLD)
        self.assertEqual(await back(vault, before), itself(IDENTITIES))
        self.assertEqual(await back(vault, after), itself([STUDY, OTHER]))

    async def test_an_original_with_two_pseudonyms_keeps_the_one_of_the_table(self) -> None:
        before, after = await self.rotated()
        self.assertNotEqual(before[STUDY], after[STUDY])
        vault = await self.vault(NEW, OLD)
        self.assertEqual(await made(vault, [*IDENTITIES, OTHER]), {**before, **after})

    async def test_both_lead_back_under_every_later_key(self) -> None:
        before, after = await self.rotated()
        await self.vault(NEW, OLD)
        await self.vault(NEWER, NEW)
        vault = await self.vault(NEWER)
        self.assertEqual(await back(vault, before), itself(IDENTITIES))
        self.assertEqual(await back(vault, after), itself([STUDY, OTHER]))
        self.assertEqual(await made(vault, [*IDENTITIES, OTHER]), {**before, **after})

    async def test_who_writes_under_an_older_key_is_refused_and_loses_nothing(self) -> None:
        late = await self.vault(OLD)
        before = await self.journalled(late, [STUDY])
        # As if another process did not see its journal.
        with patched(Journal, "is_alone", lambda journal: True):
            other = await self.vault(NEW, OLD, beside=True)
        await late.settled()
        self.failureResultOf(late.pseudonyms_of([SERIES]), SourceRefused)
        await late.stop()
        await other.stop()
        self.assertEqual((len(self.journals()), await self.rows()), (1, 0))
        self.assertEqual(await back(await self.vault(NEW, OLD), before), itself([STUDY]))


def _no_room(file: JournalFile, records: Sequence[bytes]) -> None:
    raise DatabaseUnavailable("no room")


class RoomTests(VaultCase):
    """Whoever brings more than the table takes is slowed down, and not refused."""

    async def test_they_wait_for_the_table(self) -> None:
        self.patch(vault_module, "MOST_PENDING", 3)
        vault = await self.vault()
        asked = [vault.pseudonyms_of([each]) for each in instances(20)]
        found = [await answer for answer in asked]
        for answer in found:
            await kept(answer)
        self.assertEqual([len(answer.values) for answer in found], [1] * 20)
