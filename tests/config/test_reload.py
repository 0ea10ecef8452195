"""What a reload can follow, and what waits for a restart."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.config import ConfigurationError, diff_reload
from dimseproxy.config.load import parse
from tests.config.support import NOWHERE, settings_of

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


OPEN = 'outbound: {p: {dimse: {connect: "tcp:h:1", ae_title: P}}}\n'
EVERYWHERE = 'inbound: {a: {dimse: {listen: "tcp:104"}}}\n'


class BesideTests(TestCase):
    """A file that is right by itself, beside what goes on running."""

    def mistakes(self, running: str, new: str) -> dict[str, str]:
        try:
            parse(new.encode(), NOWHERE, None, settings_of(running))
        except ConfigurationError as error:
            return {mistake.path: mistake.text for mistake in error.mistakes}
        return {}

    def test_the_same_file_goes_with_itself(self) -> None:
        policy = "privacy: {r: {originals: inbound}}\nroutes: [{outbound: p, privacy: r}]\n"
        for text in "", BEFORE, OPEN + policy, OPEN + EVERYWHERE + "unknown_applications: accept\n":
            self.assertEqual(self.mistakes(text, text), {}, text)

    def test_nobody_is_let_in_by_default_where_a_running_listener_is_reached_from_outside(self) -> None:
        for listen in EVERYWHERE, EVERYWHERE.replace("tcp:104", "haproxy:tcp:104:interface=127.0.0.1"):
            running = OPEN + listen + "applications: {A: {host: h, port: 1}}\n"
            self.assertIn("inbound a", self.mistakes(running, OPEN)["applications"])

    def test_whoever_writes_it_lets_everybody_in(self) -> None:
        running = OPEN + EVERYWHERE + "applications: {A: {host: h, port: 1}}\n"
        self.assertEqual(self.mistakes(running, OPEN + "unknown_applications: accept\n"), {})

    def test_no_policy_is_for_an_outbound_that_still_delivers_past_it(self) -> None:
        policy = "privacy: {r: {originals: inbound}}\n"
        running = OPEN.replace("ae_title: P", "ae_title: P, deliver: direct") + policy
        running += "routes: [{called: X, outbound: q, privacy: r}, {outbound: p}]\n"
        running = running.replace("{p:", '{q: {dimse: {connect: "tcp:h:2", ae_title: Q}}, p:')
        new = running.replace(", deliver: direct", "").replace("{outbound: p}", "{outbound: p, privacy: r}")
        self.assertIn("past the privacy", self.mistakes(running, new)["outbound.p.dimse.deliver"])

    def test_a_new_outbound_and_a_new_policy_are_not_there_yet(self) -> None:
        new = OPEN.replace("{p:", "{q:") + "privacy: {r: {originals: inbound}}\nroutes: [{outbound: q, privacy: r}]\n"
        self.assertEqual(set(self.mistakes(OPEN, new)), {"routes[0].outbound", "routes[0].privacy"})

    def test_without_routes_a_new_outbound_is_not_there_yet(self) -> None:
        self.assertEqual(set(self.mistakes(OPEN, OPEN.replace("{p:", "{q:"))), {"routes"})

    def test_a_route_of_a_new_inbound_is_not_there_yet(self) -> None:
        local = 'inbound: {a: {dimse: {listen: "tcp:104:interface=127.0.0.1"}}}\n'
        new = OPEN + local.replace("{a:", "{b:") + "routes: [{inbound: b, outbound: p}]\n"
        self.assertIn("matches no inbound", self.mistakes(OPEN + local, new)["routes[0].inbound"])

    def test_a_policy_that_is_taken_out_waits_for_a_restart(self) -> None:
        running = OPEN + "privacy: {r: {originals: inbound}}\nroutes: [{outbound: p, privacy: r}]\n"
        self.assertEqual(self.mistakes(running, OPEN), {})

    def test_an_empty_file_is_a_cut_off_one(self) -> None:
        for new in "", "# nothing\n":
            self.assertIn("is empty", self.mistakes(OPEN, new)[""])

    def test_what_is_wrong_in_the_file_has_its_line_and_what_runs_has_none(self) -> None:
        new = "\n" + OPEN.replace("{p:", "{q:") + "routes: [{outbound: q}]\n"
        with self.assertRaises(ConfigurationError) as caught:
            parse(new.encode(), NOWHERE, None, settings_of(OPEN))
        self.assertEqual([mistake.line for mistake in caught.exception.mistakes], [3])
