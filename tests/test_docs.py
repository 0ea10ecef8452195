"""The documentation keeps up with the code: configurations load, links lead somewhere, names exist."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from string import Formatter

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

import dimseproxy
from dimseproxy import errors
from dimseproxy.association.limits import MINIMUM_RATE
from dimseproxy.association.stream import HIGH_WATER, READ_SIZE
from dimseproxy.association.tls import PROFILES
from dimseproxy.config import SERVICES, ConfigurationError, Settings, load
from dimseproxy.config.reference import SHORTEST
from dimseproxy.dimse.status import Status
from dimseproxy.endpoints import BACKLOG
from dimseproxy.log import Log
from dimseproxy.relay import get_for_move, retrieving
from dimseproxy.relay.destinations import MAX_SUB_OPERATIONS
from dimseproxy.relay.retrieves import MAX_COMMITMENTS, MAX_RETRIEVES
from dimseproxy.tap import Options
from dimseproxy.ul.negotiation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests import CHECKOUT
from tests.config.support import write_certificates

DOCS = CHECKOUT / "docs"
REFERENCE = DOCS / "reference" / "configuration.md"
CONFORMANCE = DOCS / "reference" / "conformance.md"

#: Said of the design or of later versions, and not to be configured yet.
LATER = {"privacy"}

#: Said by the operating system, or a command.
OF_OTHERS = {"Address already in use", "Permission denied", "ss -ltnp"}

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PEM = re.compile(r"[\w-]+\.(?:pem|key)\b")


def pages() -> list[Path]:
    """Everything that is documentation, the README and the changelog included."""
    return [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def guides() -> list[Path]:
    """The pages that say how to use the proxy: what they call a key is one."""
    return [CHECKOUT / "README.md", DOCS / "tutorial.md", CONFORMANCE, *sorted((DOCS / "how-to").glob("*.md"))]


def named(page: Path) -> str:
    """How a failure names a page."""
    return page.relative_to(CHECKOUT).as_posix()


def text_of(page: Path) -> str:
    """The content of a page."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [body for tag, body in _FENCE.findall(text_of(page)) if tag == language]


def prose(page: Path) -> str:
    """A page without its blocks, fenced and indented."""
    without_fences = _FENCE.sub("", text_of(page))
    return "\n".join(line for line in without_fences.splitlines() if not line.startswith("    "))


def commands(page: Path) -> Iterator[str]:
    """The lines of a page in which twistd runs the proxy."""
    for line in text_of(page).splitlines():
        if re.search(r"\btwistd\b.* dimseproxy\b", line):
            yield line


def anchor(heading: str) -> str:
    """What a link to a heading is called, on the forges that show the pages."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The headings that can be linked to."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text_of(page)), re.MULTILINE)
    return {anchor(heading) for heading in headings}


def configuration_paths() -> set[str]:
    """Every path of the configuration, as its reference says them; another test keeps that up with the code."""
    paths: set[str] = set()
    for section in text_of(REFERENCE).partition("## Not in this version")[0].split("\n## ")[1:]:
        title, _, table = section.partition("\n")
        records = re.findall(r"`([^`]+)`", title) or [""]
        for key in re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE):
            paths.update(f"{record}.{key}" if record else key for record in records)
        paths.update(record for record in records if record)
    return {path.replace("[]", "") for path in paths}


def nodes() -> Iterator[ast.AST]:
    """All of the code."""
    for source in Path(dimseproxy.__file__).parent.rglob("*.py"):
        yield from ast.walk(ast.parse(text_of(source)))


def literals() -> Iterator[str]:
    """Every text in the code, a formatted one in its pieces."""
    for node in nodes():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def pattern_of(form: str) -> str:
    """What lines of a log format look like."""
    pieces = Formatter().parse(form)
    return "".join(re.escape(text) + ("" if name is None else ".*") for text, name, _, _ in pieces)


def line_patterns() -> Iterator[str]:
    """What lines of the log look like: those of a format, and those that are put together before."""
    for node in nodes():
        match node:
            case ast.Call(func=ast.Attribute(attr="info" | "warn" | "error"), args=[ast.Constant(value=str(form)), *_]):
                yield pattern_of(form)
            case ast.JoinedStr(values=[ast.Constant(), *_]):
                yield "".join(
                    re.escape(str(each.value)) if isinstance(each, ast.Constant) else ".*" for each in node.values
                )


class Configurations(SynchronousTestCase):
    """Each YAML block is a configuration; one that leaves the outbound out gets the shortest there is."""

    def load_block(self, block: str) -> Settings:
        folder = Path(self.mktemp())
        write_certificates(folder)
        for name in set(_PEM.findall(block)):
            kind = "server" if name != "ca.pem" else "ca"
            (folder / name).write_bytes((folder / f"{kind}.{name.rpartition('.')[2]}").read_bytes())
        written = block if re.search(r"^outbound:", block, re.MULTILINE) else block + SHORTEST
        file = folder / "dimseproxy.yaml"
        file.write_text(written, encoding="utf-8")
        return load(file)

    def test_every_block_loads(self) -> None:
        refused = {}
        for page in pages():
            for number, block in enumerate(blocks(page, "yaml"), start=1):
                try:
                    self.load_block(block)
                except ConfigurationError as error:
                    refused[f"{named(page)}, YAML block {number}"] = str(error)
        self.assertEqual({}, refused)

    def test_those_of_the_tutorial_mean_what_its_text_says(self) -> None:
        first, second, third = (self.load_block(block) for block in blocks(DOCS / "tutorial.md", "yaml"))
        self.assertFalse(first.unknown_applications)
        self.assertNotIn("store", first.applications["CLIENT"].may)
        self.assertEqual({"CLIENT": None, "*": "research"}, {each.calling: each.privacy for each in second.routes})
        self.assertEqual(second.routes, third.routes)
        (sent,) = third.archives["local"].dispatch
        self.assertEqual(("inbound", "pacs"), (third.privacy[str(sent.privacy)].originals, sent.to))

    def test_those_before_a_pacs_mean_what_the_text_says(self) -> None:
        page = DOCS / "how-to" / "in-front-of-a-pacs.md"
        first, second = (self.load_block(block) for block in blocks(page, "yaml"))
        self.assertFalse(first.unknown_applications)
        self.assertEqual(frozenset({"echo", "find"}), second.applications["CLIENT"].may)


class Links(SynchronousTestCase):
    """Relative links: the file is there, and so is the heading."""

    def test_every_relative_link_leads_somewhere(self) -> None:
        broken = []
        for page in pages():
            for target in _LINK.findall(_FENCE.sub("", text_of(page))):
                if target.startswith(("https:", "http:")):
                    continue
                path, _, heading = target.partition("#")
                file = (page.parent / path).resolve() if path else page
                if not file.exists() or (heading and heading not in anchors(file)):
                    broken.append(f"{named(page)}: {target}")
        self.assertEqual([], broken)

    def test_every_page_is_linked_to(self) -> None:
        linked = {
            (page.parent / target.partition("#")[0]).resolve()
            for page in pages()
            for target in _LINK.findall(text_of(page))
            if not target.startswith("http")
        }
        # A folder that is linked to shows its files.
        reached = linked | {file for folder in linked if folder.is_dir() for file in folder.iterdir()}
        written = {page.resolve() for page in DOCS.rglob("*.md")}
        self.assertEqual([], sorted(named(page) for page in written - reached))


class Names(SynchronousTestCase):
    """What is written as code exists under that name."""

    def setUp(self) -> None:
        self.paths = configuration_paths()
        self.keys = {path.rpartition(".")[2] for path in self.paths}

    def test_every_configuration_path_exists(self) -> None:
        tops = {path.partition(".")[0] for path in self.paths}
        missing = []
        for page in pages():
            for code in _CODE.findall(prose(page)):
                path = code.replace("[]", "")
                is_path = re.fullmatch(r"[a-z_]+(\.[A-Za-z_]+)+", path) and path.partition(".")[0] in tops
                if is_path and path not in self.paths | LATER and page != REFERENCE:
                    missing.append(f"{named(page)}: {code}")
        self.assertEqual([], missing)

    def test_every_key_with_a_value_exists(self) -> None:
        missing = []
        for page in pages():
            for code in _CODE.findall(prose(page)):
                match = re.match(r"([a-z_]+): [^.]", code)
                # What the log and the check say begins with a path, too, and goes on with a sentence.
                if match and match[1] not in self.keys and "rejected" not in code and "reload" not in code:
                    missing.append(f"{named(page)}: {code}")
        self.assertEqual([], missing)

    def test_what_looks_like_a_key_in_a_guide_is_one(self) -> None:
        missing = []
        for page in guides():
            for code in _CODE.findall(prose(page)):
                if re.fullmatch(r"[a-z]+(_[a-z]+)+", code) and code not in self.keys:
                    missing.append(f"{named(page)}: {code}")
        self.assertEqual([], missing)

    def test_every_option_of_a_command_exists(self) -> None:
        known = {f"--{parameter[0]}" for parameter in Options.optParameters}
        known |= {f"--{flag[0]}" for flag in Options.optFlags} | {"--version", "--help"}
        used = {
            (named(page), option)
            for page in pages()
            for line in commands(page)
            for option in re.findall(r"(?<!\S)--[\w-]+", line.partition(" dimseproxy")[2])
        }
        self.assertTrue(used)
        self.assertEqual(set(), {(page, option) for page, option in used if option not in known})

    def test_every_make_target_exists(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", text_of(CHECKOUT / "Makefile"), re.MULTILINE))
        used = {
            (named(page), target)
            for page in pages()
            for target in re.findall(r"(?:^    |`)make ([a-z]+)", text_of(page), re.MULTILINE)
        }
        self.assertTrue(used)
        self.assertEqual(set(), {(page, target) for page, target in used if target not in targets})

    def test_every_word_of_may_is_explained(self) -> None:
        page = text_of(DOCS / "how-to" / "access-and-routes.md")
        section = page.partition("What `may` can list")[2].partition("\nThe contexts of services")[0]
        cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        self.assertEqual(set(SERVICES), set(_CODE.findall("".join(cells))))


class LogLines(SynchronousTestCase):
    """What the log is said to say is what the code has it say."""

    def test_every_line_that_is_explained_is_in_the_code(self) -> None:
        texts = "\n".join(literals())
        missing = []
        for page in (DOCS / "how-to" / "troubleshooting.md", DOCS / "how-to" / "tls.md"):
            rows = [line for line in prose(page).splitlines() if line.startswith("|")]
            for code in _CODE.findall("\n".join(rows)):
                # Places are in capitals or elided; numbers are examples.
                words = re.split(r"\.\.\.|'[^']*'|\b[A-Z]+\b|\d+|[:;()]", code)
                pieces = [piece.strip() for piece in words if " " in piece.strip()]
                missing += [
                    f"{named(page)}: {code}" for piece in pieces if piece not in texts and piece not in OF_OTHERS
                ]
        self.assertEqual([], missing)

    def test_every_line_that_is_shown_is_one_that_the_code_writes(self) -> None:
        # One that says anything of an association would let every line through.
        patterns = set(line_patterns()) - {pattern_of("association {number}: {text}")}
        line_of_a_log = re.compile(r"^ {4,}(?:[\dT:+-]+ )?(?:info|warn|error|critical) (.+)$", re.MULTILINE)
        shown = [(named(page), line) for page in guides() for line in line_of_a_log.findall(text_of(page))]
        self.assertTrue(shown)
        self.assertEqual([], [each for each in shown if not any(re.fullmatch(form, each[1]) for form in patterns)])

    def test_an_object_that_is_shown_has_the_members_that_the_code_writes(self) -> None:
        page = text_of(DOCS / "how-to" / "operate.md")
        (line,) = re.findall(r"^ {4}(\{.+\})$", page, re.MULTILINE)
        shown = json.loads(line)
        (form,) = (literal for literal in literals() if "{requests}" in literal)
        out = StringIO()
        values = {name: shown.get(name) for _, name, _, _ in Formatter().parse(form) if name}
        Logger(observer=Log(out, "json", "info")).info(form, **values | {"text": "released"})
        written = json.loads(out.getvalue())
        self.assertEqual(shown, written | {"time": shown["time"]})


class Conformance(SynchronousTestCase):
    """The conformance statement says what the code does."""

    def setUp(self) -> None:
        self.text = text_of(CONFORMANCE)

    def test_it_names_the_implementation(self) -> None:
        for value in (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME):
            self.assertIn(f" {value}", self.text)

    def test_it_has_every_rejection(self) -> None:
        ours = [value for value in vars(errors).values() if isinstance(value, errors.Rejection)]
        written = set(re.findall(r"^\| (\d/\d/\d) ", self.text, re.MULTILINE))
        self.assertEqual({f"{each.result}/{each.source}/{each.reason}" for each in ours}, written)

    def test_it_has_every_status_that_the_relay_gives(self) -> None:
        given = {
            f"{Status[node.attr]:04X}H"
            for source in (Path(dimseproxy.__file__).parent / "relay").glob("*.py")
            for node in ast.walk(ast.parse(text_of(source)))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Status"
        }
        self.assertTrue(given)
        written = set(re.findall(r"^\| ([0-9A-F]{4}H) ", self.text, re.MULTILINE))
        self.assertEqual(set(), given - written)

    def test_its_statuses_are_those_of_the_code(self) -> None:
        written = {int(status, 16) for status in re.findall(r"^\| ([0-9A-F]{4})H ", self.text, re.MULTILINE)}
        self.assertEqual(set(), written - {int(status) for status in Status})

    def test_the_defaults_are_those_of_the_configuration(self) -> None:
        file = Path(self.mktemp())
        file.write_text(SHORTEST, encoding="utf-8")
        settings = load(file)
        inbound = settings.inbound["default"]
        for value in (
            f"{inbound.max_pdu_length} bytes by default",
            f"{inbound.max_associations} by default",
            f"ARTIM is {settings.timeouts.artim:g} s by default",
            f"`{settings.ae_title}`",
        ):
            self.assertIn(value, self.text)

    def test_it_has_every_tls_profile_by_its_title(self) -> None:
        for name, profile in PROFILES.items():
            self.assertRegex(self.text, rf"\| {re.escape(profile.title)}( \(retired\))? \| `{name}` \|")

    def test_it_says_where_a_profile_is_not_complete(self) -> None:
        restrictions = self.text.partition("Restrictions:")[2]
        for words in ("`bcp195-extended`", "**partly conformant**", "Camellia", "8-octet"):
            self.assertIn(words, restrictions)


class Limits(SynchronousTestCase):
    """The figures of limits and deadlines are those of the code."""

    def test_the_deadlines_have_their_defaults(self) -> None:
        file = Path(self.mktemp())
        file.write_text(SHORTEST, encoding="utf-8")
        timeouts = load(file).timeouts
        page = text_of(DOCS / "how-to" / "operate.md")
        rows = re.findall(r"^\| `timeouts\.(\w+)` \|[^|]+\| (\d+) \|", page, re.MULTILINE)
        self.assertEqual({(name, getattr(timeouts, name)) for name, _ in rows}, {(name, float(s)) for name, s in rows})
        self.assertEqual({"connect", "artim", "pdu", "stall", "dimse", "idle", "drain"}, {name for name, _ in rows})

    def test_the_limits_of_retrieves_and_buffers(self) -> None:
        rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", text_of(DOCS / "how-to" / "operate.md"), re.MULTILINE)
        for begins, value in (
            ("connections that wait", f"{BACKLOG:,}"),
            ("C-MOVEs through the proxy", f"{retrieving.MAX_RETRIEVES_OF_A_CALLER}"),
            ("C-MOVEs under way on one association with", f"{get_for_move.MAX_RETRIEVES_OF_A_CALLER}"),
            ("all of these", f"{MAX_RETRIEVES:,}"),
            ("identifier of a C-MOVE", f"{get_for_move.MAX_IDENTIFIER_LENGTH // 2**20} MiB"),
            ("Failed SOP Instance UID List", f"{get_for_move.MAX_FAILED_LIST_LENGTH // 65:,} UIDs"),
            ("answers that a caller owes", f"{MAX_SUB_OPERATIONS:,}"),
            ("storage commitments", f"{MAX_COMMITMENTS:,}"),
            ("what waits for a slow peer", f"{HIGH_WATER // 1024} KiB, and one read of {READ_SIZE // 1024} KiB; "),
        ):
            values = [second for first, second in rows if first.startswith(begins)]
            self.assertTrue(values and values[0].startswith(value), f"{begins}: {values}")

    def test_the_limits_of_the_conformance_statement(self) -> None:
        page = text_of(CONFORMANCE)
        for limit in (
            f"{retrieving.MAX_RETRIEVES_OF_A_CALLER} on an association, "
            f"{get_for_move.MAX_RETRIEVES_OF_A_CALLER} with `retrieve: get`, {MAX_RETRIEVES:,} in all",
            f"owes {MAX_SUB_OPERATIONS:,} answers",
            f"more than {get_for_move.MAX_IDENTIFIER_LENGTH // 2**20} MiB",
        ):
            self.assertIn(limit, page)

    def test_the_least_rate(self) -> None:
        self.assertIn(f"at least {MINIMUM_RATE // 1024} KiB/s", text_of(DOCS / "how-to" / "operate.md"))

    def test_the_number_of_commitments(self) -> None:
        for page in (DOCS / "how-to" / "c-move-through.md", DOCS / "decisions" / "0009-commitments-in-memory.md"):
            self.assertIn(f"{MAX_COMMITMENTS:,} at most", text_of(page))
