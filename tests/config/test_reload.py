"""What a reload can follow, and what waits for a restart."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.config import diff_reload
from tests.config.support import settings_of

BEFORE = """\
ae_title: PROXY
inbound: {a: {dimse: {max_associations: 5}}}
outbound: {p: {dimse: {connect: "tcp:h:1", ae_title: P}}}
applications: {A: {host: h, port: 1}}
unknown_applications: refuse
routes: [{outbound: p}]
timeouts: {idle: 5}
log: {format: text, level: info}
"""


class ReloadTests(TestCase):
    def waits(self, *changes: tuple[str, str]) -> tuple[str, ...]:
        after = BEFORE
        for old, new in changes:
            self.assertIn(old, after)
            after = after.replace(old, new)
        return diff_reload(settings_of(BEFORE), settings_of(after))

    def test_nothing_changed_nothing_waits(self) -> None:
        self.assertEqual(self.waits(), ())

    def test_who_may_and_where_to_are_followed(self) -> None:
        changes = [
            ("A: {host", "B: {host"),
            ("refuse", "accept"),
            ("[{outbound: p}]", "[{called: X, outbound: p}]"),
            ("level: info", "level: debug"),
        ]
        self.assertEqual(self.waits(*changes), ())

    def test_a_value_waits_under_its_path(self) -> None:
        changes = [("PROXY", "OTHER"), ("tions: 5", "tions: 6"), ("idle: 5", "idle: 6"), ("text", "json")]
        self.assertEqual(
            self.waits(*changes),
            ("ae_title", "inbound.a.dimse.max_associations", "timeouts.idle", "log.format"),
        )

    def test_a_new_outbound_waits(self) -> None:
        new = 'outbound: {q: {dimse: {connect: "tcp:h:2", ae_title: Q}}, '
        self.assertEqual(self.waits(("outbound: {p", new + "p")), ("outbound.q",))

    def test_tls_that_comes_waits(self) -> None:
        self.assertEqual(self.waits(("ae_title: P}", "ae_title: P, tls: {}}")), ("outbound.p.dimse.tls",))

    def test_a_renamed_inbound_waits_twice(self) -> None:
        self.assertEqual(self.waits(("{a:", "{b:")), ("inbound.a", "inbound.b"))
