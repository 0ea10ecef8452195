from __future__ import annotations

import base64
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.keys import (
    Key,
    keys_from_environment,
    keys_from_file,
    keys_from_own_file,
    keys_from_text,
)
from tests.support.process import scratch

FIRST = bytes(range(32))
SECOND = bytes(range(100, 140))


def ids(*materials: bytes) -> list[bytes]:
    return [Key(material).key_id for material in materials]


class TextTests(SynchronousTestCase):
    def keys(self, text: str) -> list[bytes]:
        return [key.key_id for key in keys_from_text(text, "the text").all]

    def refusal(self, text: str) -> str:
        with self.assertRaises(SourceRefused) as caught:
            keys_from_text(text, "the text")
        return str(caught.exception)

    def test_hexadecimal(self) -> None:
        self.assertEqual(self.keys(FIRST.hex()), ids(FIRST))

    def test_hexadecimal_in_capitals(self) -> None:
        self.assertEqual(self.keys(SECOND.hex().upper()), ids(SECOND))

    def test_base64(self) -> None:
        self.assertEqual(self.keys(base64.b64encode(SECOND).decode()), ids(SECOND))

    @given(st.binary(min_size=32, max_size=70).filter(lambda material: len(set(material)) >= 12))
    def test_base64_of_either_alphabet_with_and_without_padding(self, material: bytes) -> None:
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(material).decode()
            self.assertEqual(self.keys(text), ids(material))
            self.assertEqual(self.keys(text.rstrip("=")), ids(material))

    def test_several_keep_their_order(self) -> None:
        self.assertEqual(self.keys(f"{SECOND.hex()}\n{FIRST.hex()}\n"), ids(SECOND, FIRST))

    def test_the_first_is_the_newest(self) -> None:
        keys = keys_from_text(f"{SECOND.hex()}\n{FIRST.hex()}\n", "the text")
        self.assertEqual([keys.newest.key_id, keys.oldest.key_id], ids(SECOND, FIRST))

    def test_blank_lines_and_remarks_are_left_out(self) -> None:
        self.assertEqual(self.keys(f"# since 2026\n\n  {FIRST.hex()}  \r\n"), ids(FIRST))

    def test_nothing_is_refused(self) -> None:
        self.assertIn("holds no key", self.refusal("# none yet\n"))

    def test_a_short_key_is_refused(self) -> None:
        self.assertIn("too short, 31 bytes", self.refusal(FIRST[:31].hex()))

    def test_a_placeholder_is_refused(self) -> None:
        self.assertIn("not random", self.refusal("0" * 64))

    def test_one_key_twice_is_refused(self) -> None:
        self.assertIn("twice", self.refusal(f"{FIRST.hex()}\n{base64.b64encode(FIRST).decode()}"))

    def test_a_refusal_says_which_line_and_not_what_it_holds(self) -> None:
        refusal = self.refusal(f"{FIRST.hex()}\nmy secret passphrase!")
        self.assertIn("line 2", refusal)
        self.assertNotIn("passphrase", refusal)


class DerivedTests(SynchronousTestCase):
    def test_every_purpose_has_a_key_of_its_own(self) -> None:
        key = Key(FIRST)
        derived = {key.key_id, key.date_shift[:8], key.digest(b"")[:8], key.lookup(b"")[:8]}
        self.assertEqual(len(derived), 4)

    def test_they_stay_the_same_in_every_version(self) -> None:
        key = Key(FIRST)
        self.assertEqual(
            [each.hex() for each in (key.key_id, key.date_shift, key.digest(b"x"), key.lookup(b"x"))],
            [
                "8586bac815bee253",
                "7c32b09493b3c3d65a4919a0d9dd6271727eacdf1c6001ef100d14f40e2aaf0e",
                "eb5661ffe27aa35b350610d66ff62b3e53200b6c05e3b8f13490ddcd8d579269",
                "11bd252ae925fd4fab0b601031cd694d",
            ],
        )

    def test_nothing_of_a_key_is_shown(self) -> None:
        self.assertNotIn(repr(FIRST)[2:-1], repr(keys_from_text(FIRST.hex(), "the text")))

    def test_what_is_encrypted_is_decrypted(self) -> None:
        key = Key(FIRST)
        self.assertEqual(key.decrypt(key.encrypt(b"clear", b"here"), b"here"), b"clear")

    def test_the_same_is_never_encrypted_to_the_same(self) -> None:
        key = Key(FIRST)
        self.assertNotEqual(key.encrypt(b"clear", b"here"), key.encrypt(b"clear", b"here"))

    def test_it_cannot_be_decrypted_elsewhere(self) -> None:
        key = Key(FIRST)
        with self.assertRaises(SourceRefused):
            key.decrypt(key.encrypt(b"clear", b"here"), b"there")

    def test_it_cannot_be_decrypted_with_another_key(self) -> None:
        with self.assertRaises(SourceRefused):
            Key(SECOND).decrypt(Key(FIRST).encrypt(b"clear", b"here"), b"here")

    def test_what_was_cut_off_cannot_be_decrypted(self) -> None:
        key = Key(FIRST)
        encrypted = key.encrypt(b"clear", b"here")
        for length in range(len(encrypted)):
            with self.assertRaises(SourceRefused):
                key.decrypt(encrypted[:length], b"here")


class EnvironmentTests(SynchronousTestCase):
    def test_a_variable(self) -> None:
        keys = keys_from_environment("KEYS", {"KEYS": f"{SECOND.hex()}\n{FIRST.hex()}"})
        self.assertEqual([key.key_id for key in keys.all], ids(SECOND, FIRST))

    def test_one_that_is_not_set_is_refused(self) -> None:
        with self.assertRaises(SourceRefused):
            keys_from_environment("KEYS", {})


class FileTests(TestCase):
    def setUp(self) -> None:
        self.path = scratch(self) / "kept" / "privacy.key"

    def write(self, content: bytes, mode: int = 0o600) -> Path:
        self.path.parent.mkdir()
        self.path.write_bytes(content)
        self.path.chmod(mode)
        return self.path

    def refusal(self) -> str:
        with self.assertRaises(SourceRefused) as caught:
            keys_from_file(self.path)
        return str(caught.exception)

    def test_a_file(self) -> None:
        self.assertEqual(keys_from_file(self.write(FIRST.hex().encode())).newest.key_id, Key(FIRST).key_id)

    def test_one_that_may_only_be_read_is_fine(self) -> None:
        self.assertEqual(keys_from_file(self.write(FIRST.hex().encode(), 0o400)).newest.key_id, Key(FIRST).key_id)

    def test_one_that_others_may_touch_is_refused(self) -> None:
        self.write(FIRST.hex().encode())
        for mode in (0o640, 0o604, 0o620, 0o602, 0o644):
            self.path.chmod(mode)
            self.assertIn("chmod 600", self.refusal())

    def test_one_that_is_missing_is_refused_by_its_name(self) -> None:
        self.assertIn(str(self.path), self.refusal())

    def test_one_that_is_no_text_is_refused(self) -> None:
        self.write(b"\xff" * 32)
        self.assertIn("not text", self.refusal())

    def test_one_that_is_endless_is_refused(self) -> None:
        self.write(b"#" * 100_000)
        self.assertIn("too long", self.refusal())


class OwnFileTests(TestCase):
    def setUp(self) -> None:
        self.path = scratch(self) / "kept" / "privacy.key"

    def test_it_is_made_where_there_is_none(self) -> None:
        made = keys_from_own_file(self.path)
        self.assertEqual(keys_from_file(self.path).newest.key_id, made.newest.key_id)

    def test_it_is_the_owners_alone(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        keys_from_own_file(self.path)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.path.parent.stat().st_mode & 0o777, 0o700)

    def test_it_is_not_made_again(self) -> None:
        made = keys_from_own_file(self.path)
        self.assertEqual(keys_from_own_file(self.path).newest.key_id, made.newest.key_id)

    def test_two_are_not_the_same(self) -> None:
        other = keys_from_own_file(self.path.with_name("other.key"))
        self.assertNotEqual(keys_from_own_file(self.path).newest.key_id, other.newest.key_id)

    def test_nothing_is_left_beside_it(self) -> None:
        keys_from_own_file(self.path)
        self.assertEqual(os.listdir(self.path.parent), [self.path.name])

    def test_one_that_somebody_else_made_meanwhile_is_taken(self) -> None:
        other = keys_from_own_file(self.path.with_name("other.key"))
        link = os.link

        def late(draft: str, path: Path) -> None:
            self.patch(os, "link", link)
            self.path.with_name("other.key").rename(self.path)
            link(draft, path)

        self.patch(os, "link", late)
        self.assertEqual(keys_from_own_file(self.path).newest.key_id, other.newest.key_id)
        self.assertEqual(os.listdir(self.path.parent), [self.path.name])

    def test_a_folder_that_cannot_be_made_is_refused(self) -> None:
        self.path.parent.write_text("no folder")
        with self.assertRaises(SourceRefused):
            keys_from_own_file(self.path)
