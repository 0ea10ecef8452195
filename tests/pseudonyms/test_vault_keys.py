from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, ensureDeferred, fail

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms import vault_keys
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.keys import Key
from dimseproxy.pseudonyms.vault_entries import journal_path
from dimseproxy.storage import journal, journal_file
from dimseproxy.storage.errors import DatabaseUnavailable
from dimseproxy.storage.journal_file import create
from tests.pseudonyms.vaults import (
    IDENTITIES,
    NEW,
    NEWER,
    OLD,
    OnPostgreSQL,
    VaultCase,
    back,
    instances,
    itself,
    kept,
    made,
)
from tests.storage.databases import execute

OTHER = Identity(Kind.PATIENT, "somebody else")


class RotationTests(VaultCase):
    async def test_pseudonyms_stay(self) -> None:
        before = await made(await self.vault(OLD), IDENTITIES)
        self.assertEqual(await made(await self.vault(NEW, OLD), IDENTITIES), before)

    async def test_pseudonyms_that_were_found_are_kept_already(self) -> None:
        await made(await self.vault(OLD), IDENTITIES)
        answer = await (await self.vault(NEW, OLD)).pseudonyms_of(IDENTITIES)
        self.assertIsNone(answer.kept)

    async def test_the_way_back_stays(self) -> None:
        before = await made(await self.vault(OLD), IDENTITIES)
        self.assertEqual(await back(await self.vault(NEW, OLD), before), itself(IDENTITIES))

    async def test_the_old_key_may_go(self) -> None:
        before = await made(await self.vault(OLD), IDENTITIES)
        await self.vault(NEW, OLD)
        vault = await self.vault(NEW)
        self.assertEqual(await back(vault, before), itself(IDENTITIES))
        self.assertEqual(await made(vault, IDENTITIES), before)

    async def test_nothing_is_under_the_old_key(self) -> None:
        await made(await self.vault(OLD), IDENTITIES)
        await self.vault(NEW, OLD)
        for table in ("vault", "vault_entry"):
            keys = await self.database.read(execute(f"SELECT DISTINCT key_id FROM {table}"))
            self.assertEqual([bytes(key) for (key,) in keys if isinstance(key, bytes)], [NEW.key_id])

    async def test_a_new_original_has_what_the_new_key_makes(self) -> None:
        await made(await self.vault(OLD), IDENTITIES)
        anew = await made(await self.vault(NEW, OLD), [OTHER])
        self.assertEqual(await made(await self.vault(NEW, where=await self.opened()), [OTHER]), anew)

    async def test_old_and_new_ones_in_one_batch(self) -> None:
        before = await made(await self.vault(OLD), IDENTITIES)
        both = await made(await self.vault(NEW, OLD), [*IDENTITIES, OTHER])
        self.assertEqual({identity: both[identity] for identity in IDENTITIES}, before)
        self.assertEqual(await back(await self.vault(NEW), both), itself([*IDENTITIES, OTHER]))

    async def test_a_new_original_has_a_pseudonym_at_once_where_there_are_no_old_ones(self) -> None:
        await self.vault(OLD)
        answer = self.successResultOf((await self.vault(NEW, OLD)).pseudonyms_of([OTHER]))
        await kept(answer)

    async def test_a_memory_that_is_too_small_does_not_make_a_second_pseudonym(self) -> None:
        first, second = instances(2)
        before = await made(await self.vault(OLD), [first, second])
        vault = await self.vault(NEW, OLD, cache_entries=1)
        await made(vault, [first])
        # To look for the second one is to forget the first.
        self.assertEqual(await made(vault, [first, second]), before)

    async def test_twice(self) -> None:
        first = await made(await self.vault(OLD), IDENTITIES)
        second = await made(await self.vault(NEW, OLD), [OTHER])
        vault = await self.vault(NEWER, NEW)
        self.assertEqual(await made(vault, [*IDENTITIES, OTHER]), {**first, **second})
        self.assertEqual(await back(vault, {**first, **second}), itself([*IDENTITIES, OTHER]))

    async def test_many_rows(self) -> None:
        identities = instances(1_300)
        before = await made(await self.vault(OLD), identities)
        await self.vault(NEW, OLD)
        self.assertEqual(await back(await self.vault(NEW), before), itself(identities))

    async def test_the_date_shift_stays(self) -> None:
        before = (await self.vault(OLD)).date_shift
        await self.vault(NEW, OLD)
        self.assertEqual((await self.vault(NEW)).date_shift, before)

    async def test_another_vault_is_left_alone(self) -> None:
        before = await made(await self.vault(OLD, name="theirs"), IDENTITIES)
        await made(await self.vault(OLD), IDENTITIES)
        await self.vault(NEW, OLD)
        self.assertEqual(await back(await self.vault(OLD, name="theirs"), before), itself(IDENTITIES))


class MissingKeyTests(VaultCase):
    async def refused(self, *keys: Key) -> None:
        await self.assertFailure(ensureDeferred(self.started(*keys)), SourceRefused)

    async def test_another_key_is_refused(self) -> None:
        await made(await self.vault(OLD), IDENTITIES)
        await self.refused(NEW)

    async def test_another_key_is_refused_by_a_vault_without_rows_too(self) -> None:
        await self.vault(OLD)
        await self.refused(NEW)

    async def test_the_old_key_alone_is_refused_after_a_rotation(self) -> None:
        await made(await self.vault(OLD), IDENTITIES)
        await self.vault(NEW, OLD)
        await self.refused(OLD)

    async def test_another_process_with_the_same_keys_waits_for_nobody(self) -> None:
        await self.vault(OLD)
        vault = await self.vault(OLD, beside=True)
        await made(vault, IDENTITIES)


class BesideTests(VaultCase):
    async def test_a_rotation_waits_for_who_still_has_the_old_key(self) -> None:
        late = await self.vault(OLD)
        await made(late, IDENTITIES)
        await self.assertFailure(ensureDeferred(self.started(NEW, OLD, beside=True)), SourceUnavailable)
        await made(late, [OTHER])
        await late.stop()
        vault = await self.vault(NEW, OLD)
        self.assertEqual(len(await made(vault, [*IDENTITIES, OTHER])), 5)

    async def test_a_rotation_waits_for_a_journal_that_nobody_took_over_yet(self) -> None:
        await self.vault(OLD)
        await self.end_all()
        path = journal_path(self.file, "default")
        take_over = journal_file.take_over
        # As if another process was killed after this one has looked.
        self.patch(journal, "take_over", lambda path: iter(()))
        create(path).close()
        await self.assertFailure(ensureDeferred(self.started(NEW, OLD)), SourceUnavailable)
        self.patch(journal, "take_over", take_over)
        await self.vault(NEW, OLD)


class InterruptedTests(VaultCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.patch(vault_keys, "ROWS_TOGETHER", 3)
        self.identities = instances(10)
        self.before = await made(await self.vault(OLD), self.identities)

    async def interrupt(self, transactions: int) -> None:
        """A start with the new key, whose database goes after some transactions."""
        run = self.database.run
        left = [transactions]

        def limited(work: Callable[[Connection], Any]) -> Deferred[Any]:
            left[0] -= 1
            return run(work) if left[0] >= 0 else fail(DatabaseUnavailable("gone"))

        self.patch(self.database, "run", limited)
        await self.assertFailure(ensureDeferred(self.started(NEW, OLD)), SourceUnavailable)
        self.patch(self.database, "run", run)

    async def rows_under(self, key: Key) -> int:
        rows = await self.database.read(execute("SELECT count(*) FROM vault_entry WHERE key_id = :key", key=key.key_id))
        count = rows[0][0]
        assert isinstance(count, int)
        return count

    async def test_a_rotation_is_in_bounded_transactions(self) -> None:
        await self.interrupt(2)
        self.assertEqual(await self.rows_under(NEW), 3)

    async def test_the_next_start_goes_on(self) -> None:
        for rows in (0, 3, 6, 9):
            await self.interrupt(1 + (rows > 0))
            self.assertEqual(await self.rows_under(NEW), rows)
        await self.vault(NEW, OLD)
        self.assertEqual(await self.rows_under(NEW), 10)

    async def test_pseudonyms_and_the_way_back_stay(self) -> None:
        await self.interrupt(3)
        vault = await self.vault(NEW, OLD)
        self.assertEqual(await made(vault, self.identities), self.before)
        self.assertEqual(await back(vault, self.before), itself(self.identities))

    async def test_the_old_key_may_not_go_yet(self) -> None:
        await self.interrupt(3)
        await self.assertFailure(ensureDeferred(self.started(NEW)), SourceRefused)

    async def test_a_third_key_may_come_meanwhile(self) -> None:
        await self.interrupt(3)
        await self.vault(NEWER, NEW, OLD)
        self.assertEqual(await back(await self.vault(NEWER), self.before), itself(self.identities))


class PostgreSQLRotationTests(OnPostgreSQL, RotationTests):
    pass


class PostgreSQLMissingKeyTests(OnPostgreSQL, MissingKeyTests):
    async def test_who_still_has_the_old_key_writes_nothing_more(self) -> None:
        late = await self.vault(OLD)
        await made(late, IDENTITIES)
        await self.vault(NEW, OLD, beside=True)
        answer = await late.pseudonyms_of([OTHER])
        assert answer.kept is not None
        await self.assertFailure(answer.kept, SourceRefused)
        self.assertEqual(await self.database.read(execute("SELECT count(*) FROM vault_entry")), [(4,)])

    async def test_who_still_has_the_old_key_reads_nothing_new(self) -> None:
        late = await self.vault(OLD, cache_entries=1)
        pseudonyms = await made(late, IDENTITIES)
        await self.vault(NEW, OLD, beside=True)
        await self.assertFailure(late.originals_of([Identity(Kind.STUDY, pseudonyms[IDENTITIES[0]])]), SourceRefused)


class PostgreSQLInterruptedTests(OnPostgreSQL, InterruptedTests):
    pass
