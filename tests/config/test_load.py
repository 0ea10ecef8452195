"""Reading a file: what is refused, where, and what is said to be right instead."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import cast

import attrs
from twisted.trial.unittest import TestCase

from dimseproxy.config import SAME_AS_CALLER, ArchiveSettings, ConfigurationError, Route, load
from dimseproxy.config.load import parse
from dimseproxy.config.reference import SHORTEST
from tests.config.support import NOWHERE, PACS, mistakes_of, settings_of


def outbound(keys: str) -> str:
    return f'outbound: {{pacs: {{dimse: {{connect: "tcp:h:104", {keys}}}}}}}\n'


class DocumentTests(TestCase):
    """The file as YAML."""

    def refused(self, content: bytes) -> ConfigurationError:
        with self.assertRaises(ConfigurationError) as caught:
            parse(content, NOWHERE)
        return cast(ConfigurationError, caught.exception)

    def test_no_file_is_an_empty_one(self) -> None:
        self.assertEqual(attrs.evolve(load(None), data_dir=NOWHERE), attrs.evolve(settings_of(""), data_dir=NOWHERE))

    def test_an_empty_file_serves_an_archive_to_this_machine(self) -> None:
        settings = settings_of("# nothing yet\n")
        self.assertEqual(settings.outbound, {"archive": ArchiveSettings()})
        self.assertEqual(settings.inbound["default"].listen, "tcp:11112:interface=127.0.0.1")
        self.assertEqual(settings.routes, (Route(outbound="archive"),))
        self.assertTrue(settings.unknown_applications)
        self.assertEqual(settings.data_dir, NOWHERE / "dimseproxy-data")

    def test_outbounds_that_are_none_are_a_mistake(self) -> None:
        self.assertIn("leave the key out and get an archive", mistakes_of("outbound: {}\n")["outbound"])

    def test_a_listener_alone_is_one_for_the_archive(self) -> None:
        settings = settings_of('inbound: {clinic: {dimse: {listen: "tcp:104:interface=127.0.0.1"}}}\n')
        self.assertEqual([route.outbound for route in settings.routes], ["archive"])

    def test_the_shortest_that_relays_works(self) -> None:
        settings = settings_of(SHORTEST)
        self.assertEqual(settings.inbound["default"].listen, "tcp:11112:interface=127.0.0.1")
        self.assertEqual(settings.routes, (Route(outbound="pacs"),))
        self.assertTrue(settings.unknown_applications)

    def test_a_missing_file_is_named(self) -> None:
        path = Path(self.mktemp())
        error = self.assertRaises(ConfigurationError, load, path)
        self.assertEqual(str(error), f"{path}: cannot be read: No such file or directory")

    def test_each_line_names_file_line_and_path(self) -> None:
        path = Path(self.mktemp())
        path.write_text(PACS + "\nae_title: 104\n")
        error = self.assertRaises(ConfigurationError, load, path)
        self.assertTrue(str(error).startswith(f"{path}:3: ae_title: "), str(error))

    def test_mistakes_come_in_the_order_of_the_file(self) -> None:
        error = self.refused(b"log: 1\ntimeouts: 2\nae_title: 3\noutbound: {p: 4}\n")
        self.assertEqual([mistake.line for mistake in error.mistakes], [1, 2, 3, 4])

    def test_a_syntax_error_has_its_line(self) -> None:
        (mistake,) = self.refused(b"ae_title: A\noutbound: [1,\n").mistakes
        self.assertIn("is not YAML", mistake.text)
        self.assertEqual(mistake.line, 3)

    def test_what_is_not_utf_8_has_its_line(self) -> None:
        (mistake,) = self.refused(b"# fine\nae_title: \xe4\n").mistakes
        self.assertEqual((mistake.line, "UTF-8" in mistake.text), (2, True))

    def test_a_side_without_a_name_lacks_one(self) -> None:
        found = mistakes_of('outbound: {dimse: {connect: "tcp:h:1", ae_title: A}}\n')
        self.assertEqual(found, {"outbound.dimse": "lacks a name above it: write `outbound: {NAME: {dimse: ...}}`"})

    def test_a_side_may_be_called_like_its_form(self) -> None:
        settings = settings_of('outbound: {dimse: {dimse: {connect: "tcp:h:1", ae_title: A}}}\n')
        self.assertEqual(list(settings.outbound), ["dimse"])

    def test_seconds_are_decimal(self) -> None:
        self.assertIn("plain decimal digits", mistakes_of(PACS + "timeouts: {drain: 0x10}\n")["timeouts.drain"])

    def test_a_mistake_is_one_line_whatever_was_written(self) -> None:
        for written in '"a\\nb\\e[2J": 1', 'log: {"a\\nb\\e[2J": 1}', 'log: {level: "a\\nb\\e[2J"}':
            (line,) = str(self.refused(written.encode())).split("\n")
            self.assertTrue(line.isprintable(), line)
            self.assertIn("a\\nb\\x1b[2J", line)

    def test_a_control_character_has_its_line(self) -> None:
        (mistake,) = self.refused(b"# fine\nae_title: \x01\n").mistakes
        self.assertEqual(mistake.line, 2)

    def test_a_byte_order_mark_is_no_mistake(self) -> None:
        self.assertEqual(parse(b"\xef\xbb\xbf" + PACS.encode(), NOWHERE), settings_of(PACS))

    def test_two_documents_are_refused(self) -> None:
        self.assertIn("single document", str(self.refused(b"a: 1\n---\nb: 1\n")))

    def test_endless_nesting_is_refused(self) -> None:
        self.assertIn("nested too deeply", str(self.refused(b"[" * 100_000)))

    def test_an_anchor_within_itself_is_refused(self) -> None:
        self.assertIn("routes[0]", mistakes_of(PACS + "routes: &r [*r]\n"))

    def test_a_list_is_no_configuration(self) -> None:
        self.assertEqual(mistakes_of("- a\n"), {"": "is a list, but must be a mapping"})

    def test_an_object_tag_constructs_nothing(self) -> None:
        self.assertIn("ae_title", mistakes_of(PACS + "ae_title: !!python/object/apply:os.getcwd []\n"))

    def test_a_key_written_twice_is_refused(self) -> None:
        error = self.refused(PACS.encode() + b"ae_title: A\nae_title: B\n")
        (mistake,) = error.mistakes
        self.assertEqual((mistake.path, mistake.line), ("ae_title", 3))
        self.assertIn("the first is on line 2", mistake.text)

    def test_a_merge_key_is_refused(self) -> None:
        self.assertIn("no merge keys", mistakes_of(PACS + "log: {<<: {level: warn}}\n")['log."<<"'])

    def test_a_list_as_a_key_is_refused(self) -> None:
        self.assertIn("keys are text", mistakes_of(PACS + "? [a]\n: b\n")['"?"'])

    def test_a_key_without_a_value_is_refused(self) -> None:
        self.assertIn("has no value", mistakes_of(PACS + "timeouts:\n")["timeouts"])


class KeyTests(TestCase):
    """Keys that are not there, or not there yet."""

    def test_an_unknown_key_gets_the_nearest(self) -> None:
        self.assertEqual(mistakes_of(PACS + "ae_titel: A\n"), {"ae_titel": "is unknown: did you mean `ae_title`?"})

    def test_an_unknown_key_unlike_any_gets_all(self) -> None:
        self.assertIn("`format`, `level`", mistakes_of(PACS + "log: {zzz: 1}\n")["log.zzz"])

    def test_a_key_one_level_too_high_is_told_its_place(self) -> None:
        text = mistakes_of(PACS + 'inbound: {a: {listen: "tcp:104"}}\n')["inbound.a.listen"]
        self.assertEqual(text, "belongs under `dimse:`, one level deeper")

    def test_a_missing_key_is_named_with_an_example(self) -> None:
        found = mistakes_of("outbound: {pacs: {dimse: {connect: 'tcp:h:104'}}}\n")
        self.assertEqual(found, {"outbound.pacs.dimse": "lacks `ae_title`, for example `ae_title: ORTHANC`"})

    def test_an_empty_side_lacks_what_it_is(self) -> None:
        self.assertEqual(mistakes_of("outbound: {pacs: {}}\n"), {"outbound.pacs": "lacks `dimse` or `archive`"})
        self.assertEqual(mistakes_of("inbound: {clinic: {}}\n"), {"inbound.clinic": "lacks `dimse`"})

    def test_an_outbound_is_one_thing(self) -> None:
        text = "outbound: {a: {archive: {}, dimse: {connect: 'tcp:h:104', ae_title: A}}}\n"
        self.assertIn("has `archive` and `dimse`", mistakes_of(text)["outbound.a"])

    def test_no_key_of_a_later_version_is_ignored(self) -> None:
        for text, path in [
            ("admin: {}", "admin"),
            ("inbound: {a: {dimse: {}, dicomweb: {}}}", "inbound.a.dicomweb"),
            ("inbound: {a: {nats: {}}}", "inbound.a.nats"),
        ]:
            self.assertIn("not in this version", mistakes_of(PACS + text).get(path, "accepted"), text)
        for name in ("dicomweb", "nats", "spool"):
            text = mistakes_of(f"outbound: {{a: {{{name}: {{}}}}}}")[f"outbound.a.{name}"]
            self.assertIn("not in this version", text)


class ValueTests(TestCase):
    """Values of the wrong kind."""

    def assert_refused(self, text: str, path: str, reason: str) -> None:
        found = mistakes_of(text)
        self.assertEqual(list(found), [path])
        self.assertIn(reason, found[path])

    def test_a_number_is_no_ae_title(self) -> None:
        self.assert_refused(PACS + "ae_title: 104\n", "ae_title", 'write it in quotes, "104"')

    def test_a_number_with_a_leading_zero_is_no_ae_title(self) -> None:
        self.assert_refused(PACS + "ae_title: 0123\n", "ae_title", 'write it in quotes, "0123"')

    def test_a_truth_value_is_no_ae_title(self) -> None:
        self.assert_refused(PACS + "ae_title: true\n", "ae_title", 'write it in quotes, "true"')

    def test_quoted_digits_are_an_ae_title(self) -> None:
        self.assertEqual(settings_of(PACS + 'ae_title: "0123"\n').ae_title, "0123")

    def test_no_is_text(self) -> None:
        self.assertEqual(settings_of(outbound("ae_title: NO")).peers["pacs"].ae_title, "NO")

    def test_a_number_is_no_application(self) -> None:
        text = PACS + "applications: {104: {host: h, port: 104}}\n"
        self.assert_refused(text, "applications.104", "write it in quotes")

    def test_an_ae_title_is_trimmed(self) -> None:
        self.assertEqual(settings_of(PACS + 'ae_title: "  A B "\n').ae_title, "A B")

    def test_padding_does_not_count_towards_sixteen_characters(self) -> None:
        self.assertEqual(settings_of(PACS + f'ae_title: " {"A" * 16} "\n').ae_title, "A" * 16)

    def test_seventeen_characters_are_no_ae_title(self) -> None:
        self.assert_refused(PACS + f"ae_title: {'A' * 17}\n", "ae_title", "has 17 characters")

    def test_spaces_are_no_ae_title(self) -> None:
        self.assert_refused(PACS + 'ae_title: "    "\n', "ae_title", "only spaces")

    def test_an_ae_title_has_no_backslash(self) -> None:
        self.assert_refused(PACS + "ae_title: A\\B\n", "ae_title", "without the backslash")

    def test_an_ae_title_is_ascii(self) -> None:
        self.assert_refused(PACS + "ae_title: RÖNTGEN\n", "ae_title", "'Ö'")

    def test_an_ae_title_has_no_control_characters(self) -> None:
        for escape in ("\\0", "\\t", "\\n", "\\e", "\\x7f"):
            self.assert_refused(PACS + f'ae_title: "A{escape}B"\n', "ae_title", "printable")

    def test_two_titles_that_differ_in_padding_are_one(self) -> None:
        text = PACS + 'applications: {A: {host: h, port: 1}, "A ": {host: h, port: 1}}\n'
        self.assert_refused(text, 'applications."A "', "is `A` again")

    def test_titles_that_differ_in_case_are_two(self) -> None:
        text = PACS + "applications: {A: {host: h, port: 1}, a: {host: h, port: 2}}\n"
        self.assertEqual(settings_of(text).applications["a"].port, 2)

    def test_same_keeps_the_callers_title(self) -> None:
        settings = settings_of(outbound("ae_title: P, calling_ae_title: same"))
        self.assertIs(settings.peers["pacs"].calling_ae_title, SAME_AS_CALLER)

    def test_a_quoted_number_is_no_number(self) -> None:
        text = PACS + 'inbound: {a: {dimse: {max_associations: "5"}}}\n'
        self.assert_refused(text, "inbound.a.dimse.max_associations", "without quotes, 5")

    def test_numbers_are_plain_decimals(self) -> None:
        for written in ("0x10", "010", "1_0", "10.0", "true", "[10]", "1" * 5000):
            text = PACS + f"inbound: {{a: {{dimse: {{max_associations: {written}}}}}}}\n"
            self.assertIn("inbound.a.dimse.max_associations", mistakes_of(text), written)

    def test_a_port_is_below_65536(self) -> None:
        text = PACS + "applications: {A: {host: h, port: 65536}}\n"
        self.assert_refused(text, "applications.A.port", "must be 1 to 65535")

    def test_timeouts_are_finite_and_above_zero(self) -> None:
        for written in ("0", "-1", ".inf", ".nan", "1e300", '"3"', "yes", "[]"):
            self.assert_refused(PACS + f"timeouts: {{idle: {written}}}\n", "timeouts.idle", "seconds")

    def test_timeouts_may_have_a_fraction(self) -> None:
        self.assertEqual(settings_of(PACS + "timeouts: {idle: 0.25}\n").timeouts.idle, 0.25)

    def test_a_truth_value_is_true_or_false(self) -> None:
        text = PACS + "inbound: {a: {dimse: {user_identity: NO}}}\n"
        self.assert_refused(text, "inbound.a.dimse.user_identity", "true or false")

    def test_a_choice_names_its_words(self) -> None:
        self.assert_refused(PACS + "log: {format: xml}\n", "log.format", "must be `text` or `json`")

    def test_an_unknown_service_gets_the_nearest(self) -> None:
        text = PACS + "routes: [{outbound: pacs, services: [echo, stor]}]\n"
        self.assert_refused(text, "routes[0].services[1]", "did you mean `store`?")

    def test_one_word_is_no_list(self) -> None:
        text = PACS + "applications: {A: {host: h, port: 1, may: echo}}\n"
        self.assert_refused(text, "applications.A.may", "write [echo]")

    def test_an_application_may_be_a_destination_only(self) -> None:
        settings = settings_of(PACS + "applications: {A: {host: h, port: 1, may: []}}\n")
        self.assertEqual(settings.applications["A"].may, frozenset())

    def test_an_empty_filter_in_a_route_is_refused(self) -> None:
        self.assert_refused(PACS + "routes: [{outbound: pacs, from: []}]\n", "routes[0].from", "is empty")

    def test_a_host_has_no_spaces(self) -> None:
        text = PACS + "applications: {A: {host: a b, port: 1}}\n"
        self.assert_refused(text, "applications.A.host", "neither a host name nor an IP address")

    def test_a_host_is_no_half_address(self) -> None:
        text = PACS + "applications: {A: {host: 10.0.0.256, port: 1}}\n"
        self.assert_refused(text, "applications.A.host", "neither")

    def test_a_host_in_ipv6_clothes_is_told_its_own(self) -> None:
        text = PACS + 'applications: {A: {host: "::ffff:10.0.0.5", port: 1}}\n'
        self.assert_refused(text, "applications.A.host", "write `10.0.0.5`")

    def test_the_name_of_an_outbound_has_no_spaces(self) -> None:
        self.assertIn('outbound."a b"', mistakes_of('outbound: {a b: {dimse: {connect: "tcp:h:1", ae_title: P}}}'))

    def test_a_pattern_closes_its_brackets(self) -> None:
        self.assert_refused(PACS + 'routes: [{called: "A[B", outbound: pacs}]\n', "routes[0].called", "never closes")

    def test_a_pattern_that_fits_no_title_is_refused(self) -> None:
        text = PACS + f'routes: [{{calling: "{"?" * 17}*", outbound: pacs}}]\n'
        self.assert_refused(text, "routes[0].calling", "asks for 17 characters")

    def test_brackets_count_as_one_character(self) -> None:
        text = PACS + f'routes: [{{calling: "{"[]AB]" * 16}*", outbound: pacs}}]\n'
        self.assertEqual(mistakes_of(text), {})


class NetworkTests(TestCase):
    """`from`, wherever it stands."""

    def network(self, written: str) -> str:
        text = PACS + f"routes: [{{outbound: pacs, from: [{written}]}}]\n"
        return mistakes_of(text).get("routes[0].from[0]", "accepted")

    def test_a_network_is_read(self) -> None:
        settings = settings_of(PACS + "routes: [{outbound: pacs, from: [10.0.0.0/8]}]\n")
        self.assertEqual(settings.routes[0].from_, (ip_network("10.0.0.0/8"),))

    def test_an_address_is_a_network_of_one(self) -> None:
        settings = settings_of(PACS + 'routes: [{outbound: pacs, from: ["fd00::1"]}]\n')
        self.assertEqual(settings.routes[0].from_, (ip_network("fd00::1/128"),))

    def test_host_bits_are_refused_with_both_meanings(self) -> None:
        text = self.network("10.0.0.5/8")
        self.assertIn("write `10.0.0.0/8`, or `10.0.0.5/32`", text)

    def test_a_net_mask_is_refused_with_its_prefix(self) -> None:
        self.assertIn("write `10.0.0.0/8`", self.network("10.0.0.0/255.0.0.0"))

    def test_ipv4_in_ipv6_clothes_is_told_its_own(self) -> None:
        self.assertIn("write `10.0.0.0/8`", self.network('"::ffff:10.0.0.0/104"'))

    def test_what_is_no_network_is_refused(self) -> None:
        for written in ("ten", "10", "10.0", "10.0.0.0/33", "10.0.0.0/", "/8", '""', '"fe80::1%eth0/64"'):
            self.assertNotEqual(self.network(written), "accepted", written)
