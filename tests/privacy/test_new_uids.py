"""UIDs that callers made up, as they reach the originals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.privacy.new_uids import new_uid
from dimseproxy.privacy.values import check_pseudonym

KEY = b"0123456789abcdef0123456789abcdef"


class NewUid(SynchronousTestCase):
    def test_it_is_the_number_of_128_bits_of_the_hmac(self) -> None:
        # printf 'new\0001.2.3' | openssl dgst -sha256 -mac hmac -macopt key:0123456789abcdef0123456789abcdef
        self.assertEqual(new_uid(KEY, "1.2.3"), f"2.25.{0x7C3B1C7872F5A6099227F3B032D50427}")

    def test_it_is_another_one_under_another_key(self) -> None:
        self.assertNotEqual(new_uid(KEY, "1.2.3"), new_uid(KEY[::-1], "1.2.3"))

    @given(st.text(max_size=64))
    def test_it_is_valid_whatever_stood_there(self, uid: str) -> None:
        check_pseudonym("UI", new_uid(KEY, uid))

    @given(st.text(max_size=64))
    def test_it_is_never_what_stood_there(self, uid: str) -> None:
        self.assertNotEqual(new_uid(KEY, uid), uid)
