from __future__ import annotations

import base64

from twisted.internet.defer import gatherResults
from zope.interface.verify import verifyObject

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms import vault as vault_module
from dimseproxy.pseudonyms.interfaces import IPseudonyms, Pseudonyms, SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.vault import Vault
from dimseproxy.pseudonyms.vault_uids import UidCipher
from tests.pseudonyms.vaults import (
    ACCESSION,
    IDENTITIES,
    NEW,
    OLD,
    PATIENT,
    SERIES,
    STUDY,
    OnPostgreSQL,
    VaultCase,
    back,
    in_the_table,
    instances,
    itself,
    kept,
    made,
)
from tests.storage.databases import Work, execute


class PseudonymTests(VaultCase):
    async def test_it_is_a_source(self) -> None:
        verifyObject(IPseudonyms, await self.vault())

    async def test_that_of_a_uid(self) -> None:
        stem, tail = STUDY.value[:-1], STUDY.value[-1]
        identifier = OLD.digest(b"uid\0" + stem.encode())[:10].hex()
        expected = UidCipher(OLD.date_shift).pseudonym(identifier, tail)
        self.assertEqual(await made(await self.vault(), [STUDY]), {STUDY: expected})

    async def test_that_of_a_text(self) -> None:
        digest = OLD.digest(b"patient\0" + PATIENT.value.encode())
        expected = base64.b32encode(digest[:10]).decode()
        self.assertEqual(await made(await self.vault(), [PATIENT]), {PATIENT: expected})

    async def test_they_stay_the_same_in_every_version(self) -> None:
        pseudonyms = await made(await self.vault(), IDENTITIES)
        self.assertEqual(
            [pseudonyms[identity] for identity in IDENTITIES],
            [
                # As openssl's HKDF by hand, and `openssl enc -aes-256-ecb -nopad`, make them.
                "2.25.276069648148635822273579198416702761822",
                "2.25.3794299348253607409378261521074912656",
                "V6FYAGQNYI5OS5EQ",
                "VSNMT4BSPRSAPNO4",
            ],
        )

    async def test_every_uid_is_valid(self) -> None:
        for pseudonym in (await made(await self.vault(), instances(2_000))).values():
            self.assertRegex(pseudonym, r"\A2\.25\.[1-9][0-9]{0,38}\Z")

    async def test_every_text_is_valid(self) -> None:
        identities = [Identity(kind, f"{number}") for number in range(50) for kind in Kind if not kind.is_uid]
        for pseudonym in (await made(await self.vault(), identities)).values():
            self.assertRegex(pseudonym, r"\A[A-Z2-7]{16}\Z")

    async def test_a_uid_has_one_whatever_it_refers_to(self) -> None:
        identities = [Identity(kind, STUDY.value) for kind in Kind if kind.is_uid]
        pseudonyms = await made(await self.vault(), identities)
        self.assertEqual(len(pseudonyms), len(identities))
        self.assertEqual(len(set(pseudonyms.values())), 1)

    async def test_a_text_has_one_for_every_kind(self) -> None:
        identities = [Identity(kind, "4711") for kind in Kind if not kind.is_uid]
        pseudonyms = await made(await self.vault(), identities)
        self.assertEqual(len(set(pseudonyms.values())), len(identities))

    async def test_another_database_with_the_same_key_has_the_same(self) -> None:
        here = await made(await self.vault(), IDENTITIES)
        self.assertEqual(await made(await self.vault(where=await self.opened()), IDENTITIES), here)

    async def test_another_key_has_others(self) -> None:
        here = await made(await self.vault(), IDENTITIES)
        there = await made(await self.vault(NEW, where=await self.opened()), IDENTITIES)
        self.assertEqual(set(here.values()) & set(there.values()), set())


class KeptTests(VaultCase):
    async def test_the_answer_comes_at_once(self) -> None:
        answer = self.successResultOf((await self.vault()).pseudonyms_of(IDENTITIES))
        self.assertEqual(set(answer.values), set(IDENTITIES))
        await kept(answer)

    async def test_kept_is_when_the_disk_has_it(self) -> None:
        vault = await self.vault()
        answer = await vault.pseudonyms_of(IDENTITIES)
        assert answer.kept is not None
        self.assertNoResult(answer.kept)
        await kept(answer)
        if self.has_journal:
            await self.kill(vault)
            await self.vault()
        rows = await self.database.read(execute("SELECT pseudonym FROM vault_entry"))
        there = {in_the_table(identity, pseudonym) for identity, pseudonym in answer.values.items()}
        self.assertEqual({pseudonym for (pseudonym,) in rows}, there)

    async def test_what_is_in_the_table_is_kept_already(self) -> None:
        vault = await self.vault()
        await made(vault, IDENTITIES)
        self.assertIsNone((await vault.pseudonyms_of(IDENTITIES)).kept)

    async def test_who_asks_meanwhile_waits_for_the_same(self) -> None:
        vault = await self.vault()
        first, second = await vault.pseudonyms_of([STUDY]), await vault.pseudonyms_of([STUDY, SERIES])
        self.assertEqual(first.values[STUDY], second.values[STUDY])
        assert first.kept is not None and second.kept is not None
        await gatherResults([first.kept, second.kept])
        await vault.settled()
        self.assertEqual(await self.database.read(execute("SELECT count(*) FROM vault_entry")), [(2,)])

    async def test_more_than_a_transaction_takes(self) -> None:
        identities = instances(1_200)
        vault = await self.vault()
        pseudonyms = await made(vault, identities)
        self.assertEqual(await back(await self.vault(), pseudonyms), itself(identities))

    async def test_a_restart_finds_the_same_row(self) -> None:
        before = await made(await self.vault(), IDENTITIES)
        self.assertEqual(await made(await self.vault(), IDENTITIES), before)
        self.assertEqual(await self.database.read(execute("SELECT count(*) FROM vault_entry")), [(4,)])

    async def test_two_at_once_on_one_database_agree(self) -> None:
        identities = instances(1_000)
        vaults = [await self.vault(), await self.vault(beside=True)]
        answers = [
            await vault.pseudonyms_of(order)
            for vault, order in zip(vaults, (identities, identities[::-1]), strict=True)
        ]
        await gatherResults([answer.kept for answer in answers if answer.kept is not None])
        self.assertEqual(answers[0].values, answers[1].values)

    async def test_a_small_memory_forgets_and_is_right(self) -> None:
        identities = instances(50)
        vault = await self.vault(cache_entries=3)
        pseudonyms = await made(vault, identities)
        self.assertEqual(await made(vault, identities), pseudonyms)
        self.assertEqual(await back(vault, pseudonyms), itself(identities))

    async def test_vaults_of_two_names_share_nothing(self) -> None:
        pseudonyms = await made(await self.vault(name="one"), IDENTITIES)
        self.assertEqual(await back(await self.vault(name="two"), pseudonyms), {})


class StemTests(VaultCase):
    """A row for all UIDs that differ in their last digits only."""

    series = tuple(Identity(Kind.INSTANCE, f"1.2.3.20260101.{number}") for number in range(1, 301))

    async def test_a_series_has_one_row(self) -> None:
        vault = await self.vault()
        pseudonyms = await made(vault, self.series)
        self.assertEqual(len(set(pseudonyms.values())), 300)
        self.assertEqual(await self.database.read(execute("SELECT count(*) FROM vault_entry")), [(1,)])
        self.assertEqual(await back(await self.vault(), pseudonyms), itself(self.series))

    async def test_after_the_first_nothing_waits_for_the_disk(self) -> None:
        vault = await self.vault()
        await made(vault, self.series[:1])
        self.assertIsNone((await vault.pseudonyms_of(self.series[1:])).kept)

    async def test_who_comes_while_the_first_is_written_waits_with_it(self) -> None:
        vault = await self.vault()
        answers = [await vault.pseudonyms_of([one]) for one in self.series[:3]]
        for answer in answers:
            self.assertIsNotNone(answer.kept)
            await kept(answer)

    async def test_another_key_changes_none_of_them_and_makes_the_rest_alike(self) -> None:
        before = await made(await self.vault(OLD), self.series)
        rotated = await self.vault(NEW, OLD)
        self.assertEqual(await made(rotated, self.series), before)
        without_the_old = await self.vault(NEW)
        self.assertEqual(await made(without_the_old, self.series), before)
        self.assertEqual(await back(without_the_old, before), itself(self.series))

    async def test_zeros_in_front_of_a_number_count(self) -> None:
        uids = [Identity(Kind.UID, f"1.2.{zeros}7") for zeros in ("", "0", "00")]
        vault = await self.vault()
        pseudonyms = await made(vault, uids)
        self.assertEqual(len(set(pseudonyms.values())), 3)
        self.assertEqual(await back(vault, pseudonyms), itself(uids))

    async def test_what_is_no_uid_comes_back_all_the_same(self) -> None:
        texts = [Identity(Kind.UID, text) for text in ("1.2.", "x", "1" * 64, "1.2.3\0", "\u0661", "2.25.7", "0")]
        vault = await self.vault()
        pseudonyms = await made(vault, texts)
        self.assertEqual(await back(await self.vault(), pseudonyms), itself(texts))

    async def test_the_next_number_is_nobodys(self) -> None:
        vault = await self.vault()
        last = max((await made(vault, self.series)).values())
        number = int(last.rpartition(".")[2])
        near = [Identity(Kind.INSTANCE, f"2.25.{number + step}") for step in (-2, -1, 1, 2)]
        self.assertEqual(await vault.originals_of(near), {})


class RefusedTests(VaultCase):
    async def collides(self, answer: Pseudonyms, vault: Vault) -> None:
        """Wait until a collision was found: on writing to the table, which a journal stands before."""
        assert answer.kept is not None
        if self.has_journal:
            await answer.kept
            await vault.settled()
        else:
            await self.assertFailure(answer.kept, SourceRefused)

    async def colliding(self) -> Vault:
        """A vault that finds the pseudonym of the study to be another's."""
        await made(await self.vault(), [STUDY, SERIES])
        await self.end_all()
        await self.database.run(_another_original)
        return await self.vault()

    async def test_a_pseudonym_of_another_original_is_refused_from_then_on(self) -> None:
        vault = await self.colliding()
        await self.collides(await vault.pseudonyms_of([STUDY]), vault)
        self.failureResultOf(vault.pseudonyms_of([SERIES, STUDY]), SourceRefused)

    async def test_it_is_refused_only_to_those_who_ask_for_it(self) -> None:
        vault = await self.colliding()
        colliding, other = await vault.pseudonyms_of([STUDY]), await vault.pseudonyms_of([SERIES])
        await self.collides(colliding, vault)
        await kept(other)
        await made(vault, [SERIES])

    async def test_a_pseudonym_that_is_known_to_be_anothers_is_refused_at_once(self) -> None:
        self.patch(vault_module, "pseudonym_of", lambda state, original: "4711" * 5)
        vault = await self.vault()
        first = await vault.pseudonyms_of([STUDY])
        self.failureResultOf(vault.pseudonyms_of([SERIES]), SourceRefused)
        await kept(first)
        await vault.settled()
        self.failureResultOf(vault.pseudonyms_of([ACCESSION, PATIENT, SERIES]), SourceRefused)
        self.assertEqual(await back(vault, dict(first.values)), itself([STUDY]))

    async def test_what_was_refused_along_with_others_is_not_waited_for(self) -> None:
        vault = await self.vault(most_queued=2)
        self.failureResultOf(vault.pseudonyms_of([STUDY, SERIES, PATIENT]), SourceUnavailable)
        await made(vault, [STUDY, SERIES])

    async def test_more_than_may_wait_is_refused(self) -> None:
        vault = await self.vault(most_queued=2)
        first = await vault.pseudonyms_of([STUDY, SERIES])
        self.failureResultOf(vault.pseudonyms_of([PATIENT]), SourceUnavailable)
        await kept(first)
        await vault.settled()
        await made(vault, [PATIENT])

    async def test_nothing_is_answered_before_the_start(self) -> None:
        vault = await self.vault()
        await vault.stop()
        self.failureResultOf(vault.pseudonyms_of([STUDY]), SourceUnavailable)
        self.failureResultOf(vault.originals_of([STUDY]), SourceUnavailable)

    async def test_the_stop_waits_for_what_is_queued(self) -> None:
        vault = await self.vault()
        answer = await vault.pseudonyms_of(IDENTITIES)
        assert answer.kept is not None
        await vault.stop()
        self.successResultOf(answer.kept)


class WayBackTests(VaultCase):
    async def test_from_memory(self) -> None:
        vault = await self.vault()
        self.assertEqual(await back(vault, await made(vault, IDENTITIES)), itself(IDENTITIES))

    async def test_from_the_table(self) -> None:
        pseudonyms = await made(await self.vault(), IDENTITIES)
        self.assertEqual(await back(await self.vault(), pseudonyms), itself(IDENTITIES))

    async def test_of_text_of_every_kind(self) -> None:
        values = ("山田^太郎", "Ünïcödé", "a\\b^c=d", "\N{GRINNING FACE}", "\ud800", "x" * 10_000, "nul\0nul")
        identities = [Identity(Kind.OTHER, value) for value in values]
        pseudonyms = await made(await self.vault(), identities)
        self.assertEqual(await back(await self.vault(), pseudonyms), itself(identities))

    async def test_a_uid_is_found_whatever_it_is_said_to_refer_to(self) -> None:
        vault = await self.vault()
        pseudonym = (await made(vault, [STUDY]))[STUDY]
        asked = [Identity(kind, pseudonym) for kind in Kind if kind.is_uid]
        self.assertEqual(await (await self.vault()).originals_of(asked), dict.fromkeys(asked, STUDY.value))

    async def test_a_text_is_found_only_as_what_it_is(self) -> None:
        vault = await self.vault()
        pseudonym = (await made(vault, [PATIENT]))[PATIENT]
        self.assertEqual(await vault.originals_of([Identity(Kind.ACCESSION, pseudonym)]), {})

    async def test_who_asks_while_it_is_written_need_not_wait(self) -> None:
        vault = await self.vault()
        answer = await vault.pseudonyms_of(IDENTITIES)
        self.assertEqual(self.successResultOf(back(vault, dict(answer.values))), itself(IDENTITIES))
        await kept(answer)
        self.assertEqual(self.successResultOf(back(vault, dict(answer.values))), itself(IDENTITIES))

    async def test_many_at_once(self) -> None:
        identities = instances(2_500)
        pseudonyms = await made(await self.vault(), identities)
        self.assertEqual(await back(await self.vault(), pseudonyms), itself(identities))

    async def test_what_is_nobodys_pseudonym_is_not_found(self) -> None:
        vault = await self.vault()
        await made(vault, IDENTITIES)
        strange = [Identity(Kind.PATIENT, value) for value in ("A" * 16, "", "*", "nul\0nul", "\ud800", "Müller")]
        self.assertEqual(await vault.originals_of([*strange, Identity(Kind.STUDY, "2.25.1")]), {})

    async def test_an_original_takes_the_same_way_as_what_is_unknown(self) -> None:
        vault = await self.vault()
        await made(vault, IDENTITIES)
        reads: list[object] = []
        read = self.database.read

        def counted(work: Work) -> object:
            reads.append(work)
            return read(work)

        self.patch(self.database, "read", counted)
        # The second time nothing may have been learnt of either.
        for asked in (STUDY, Identity(Kind.STUDY, "1.2.826.0.1.3680043.8.498.9")) * 2:
            self.assertEqual(await vault.originals_of([asked]), {})
        self.assertEqual(len(reads), 4)

    async def test_a_row_that_was_changed_is_refused(self) -> None:
        pseudonyms = await made(await self.vault(), [STUDY])
        await self.database.run(execute("UPDATE vault_entry SET original = lookup"))
        await self.assertFailure(back(await self.vault(), pseudonyms), SourceRefused)

    async def test_a_row_that_took_the_place_of_another_is_refused(self) -> None:
        pseudonyms = await made(await self.vault(), [STUDY, SERIES])
        await self.database.run(
            execute(
                "UPDATE vault_entry SET original = (SELECT original FROM vault_entry WHERE pseudonym = :other)"
                " WHERE pseudonym = :one",
                one=in_the_table(STUDY, pseudonyms[STUDY]),
                other=in_the_table(SERIES, pseudonyms[SERIES]),
            )
        )
        await self.assertFailure(back(await self.vault(), pseudonyms), SourceRefused)

    async def test_the_same_date_shift_for_the_life_of_the_vault(self) -> None:
        first = (await self.vault()).date_shift
        self.assertEqual((await self.vault()).date_shift, first)

    async def test_an_answer_shows_nobody(self) -> None:
        answer = await (await self.vault()).pseudonyms_of([PATIENT, ACCESSION])
        self.assertNotIn("4711", repr(answer))
        await kept(answer)


class PostgreSQLPseudonymTests(OnPostgreSQL, PseudonymTests):
    pass


class PostgreSQLKeptTests(OnPostgreSQL, KeptTests):
    pass


class PostgreSQLStemTests(OnPostgreSQL, StemTests):
    pass


class PostgreSQLRefusedTests(OnPostgreSQL, RefusedTests):
    async def test_a_database_that_is_gone_fails_and_comes_back(self) -> None:
        vault = await self.vault()
        await self.database.stop()
        answer = await vault.pseudonyms_of([STUDY])
        assert answer.kept is not None
        await self.assertFailure(answer.kept, SourceUnavailable)
        await self.assertFailure(vault.originals_of([PATIENT]), SourceUnavailable)
        await self.database.start()
        again = await made(vault, [STUDY])
        self.assertEqual(again, answer.values)
        self.assertEqual(await back(vault, again), itself([STUDY]))


class PostgreSQLWayBackTests(OnPostgreSQL, WayBackTests):
    pass


#: Work: as if the pseudonym of the study had been made for somebody else.
_another_original = execute(
    "UPDATE vault_entry SET lookup = original WHERE pseudonym = :pseudonym",
    pseudonym=OLD.digest(b"uid\0" + STUDY.value[:-1].encode())[:10].hex(),
)
