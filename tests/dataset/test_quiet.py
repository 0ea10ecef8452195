"""pydicom's warnings quote values; none of them may reach the log (see `dimseproxy.dataset`)."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.head import STUDY_INSTANCE_UID, failed_list, identifier
from dimseproxy.outbound.archive import committing

#: With a component that begins with a zero (PS3.5 9.1); PACS have such, and longer ones.
STRANGE = ("1.2.276.007.19991231.4711", "1." + "2" * 80, "DOE^JOHN")
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")

_WARNS = """
import {module}
from pydicom.charset import convert_encodings
convert_encodings(["DOE^JOHN"])
"""


def warned(module: str) -> bytes:
    """What a process says whose data set has a strange character set, which pydicom always warns of."""
    command = [sys.executable, "-c", _WARNS.format(module=module)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stderr


class QuietTests(SynchronousTestCase):
    def test_a_failed_list_of_strange_uids_warns_of_nothing(self) -> None:
        for syntax in SYNTAXES:
            failed_list(syntax, STRANGE)
        self.assertEqual(self.flushWarnings(), [])

    def test_nor_does_one_that_is_too_long_for_its_vr(self) -> None:
        failed_list("1.2.840.10008.1.2.1", ["1.2.3"] * 20_000)
        self.assertEqual(self.flushWarnings(), [])

    def test_nor_does_a_query_for_one(self) -> None:
        for uid in STRANGE:
            identifier("1.2.840.10008.1.2", {STUDY_INSTANCE_UID: uid})
        self.assertEqual(self.flushWarnings(), [])

    def test_nor_does_a_storage_commitment_of_some(self) -> None:
        for is_implicit in (False, True):
            encoding = Encoding(is_implicit)
            references = [("1.02.3", uid) for uid in STRANGE]
            report = committing._report("1.09", references, {references[0]: 0x0112}, encoding)
            # What it asks looks the same as what it says.
            committing._read(report, encoding)
        self.assertEqual(self.flushWarnings(), [])


class FilterTests(SynchronousTestCase):
    def test_what_no_setting_turns_off_is_not_said(self) -> None:
        self.assertEqual(warned("dimseproxy.dataset"), b"")

    def test_it_is_said_without_us(self) -> None:
        self.assertIn(b"DOE^JOHN", warned("pydicom"))
