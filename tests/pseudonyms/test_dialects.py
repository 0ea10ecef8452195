"""Whatever a service answers, it is an outcome for a value that was asked for, or a refusal."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dimseproxy.pseudonyms.fhir import FhirService, operations
from dimseproxy.pseudonyms.gpas import Gpas
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.mii import Mii
from dimseproxy.pseudonyms.remote import Direction, IDialect

_ASKED = ("a", "b")

_texts = st.sampled_from(["a", "b", "x", "", "domain", "200 OK", "404 Not Found", "500", "not-found", "Parameters"])
_scalars = st.none() | st.booleans() | st.integers() | _texts
_names = st.sampled_from(
    [
        "resourceType", "parameter", "part", "name", "valueString", "valueIdentifier", "value", "valueCoding", "code",
        "type", "entry", "resource", "response", "status", "outcome", "issue", "expression", "rest", "operation",
    ]
)  # fmt: skip
_anything = st.recursive(
    _scalars, lambda each: st.lists(each, max_size=3) | st.dictionaries(_names, each, max_size=4), max_leaves=30
)
_valued = st.builds(lambda value: {"valueString": value}, _texts) | st.builds(
    lambda value: {"valueIdentifier": {"value": value}}, _texts
)
_part = st.builds(
    lambda name, value: {"name": name, **value},
    st.sampled_from(["original", "pseudonym", "target", "context", "value", "error-code"]),
    _valued,
)
_parameter = _part | st.builds(lambda parts: {"name": "pseudonym", "part": parts}, st.lists(_part, max_size=4))
_parameters = st.builds(
    lambda each: {"resourceType": "Parameters", "parameter": each}, st.lists(_parameter | _anything, max_size=4)
)
_entry = st.builds(
    lambda resource, status: {"resource": resource, "response": {"status": status}}, _parameters | _anything, _scalars
)
_bundle = st.builds(
    lambda entries: {"resourceType": "Bundle", "type": "batch-response", "entry": entries},
    st.lists(_entry | _anything, min_size=2, max_size=2),
)
_resources = _parameters | _bundle | st.dictionaries(_names, _anything, max_size=4)


class _Says:
    """A service that always says the same."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    async def post(self, path: str, resource: Any) -> Any:
        return self._resource


class DialectTests(SynchronousTestCase):
    def _check(self, dialect: IDialect, resource: Any, direction: Direction, values: tuple[str, ...]) -> None:
        asking = dialect.ask(cast("FhirService", _Says(resource)), direction, "domain", values)
        outcomes = self.successResultOf(Deferred.fromCoroutine(_caught(asking)))
        self.assertLessEqual(set(outcomes), set(values))
        for outcome in outcomes.values():
            self.assertTrue(outcome is None or isinstance(outcome, (str, SourceRefused)))

    def test_are_dialects(self) -> None:
        verifyObject(IDialect, Gpas())
        verifyObject(IDialect, Mii())

    @settings(deadline=None)
    @given(_resources, st.sampled_from(Direction))
    def test_gpas(self, resource: Any, direction: Direction) -> None:
        self._check(Gpas(), resource, direction, _ASKED)

    @settings(deadline=None)
    @given(_resources, st.sampled_from(Direction), st.sampled_from([_ASKED, ("a",)]))
    def test_mii(self, resource: Any, direction: Direction, values: tuple[str, ...]) -> None:
        self._check(Mii(), resource, direction, values)

    @settings(deadline=None)
    @given(st.dictionaries(_names, _anything, max_size=4), st.booleans())
    def test_a_statement_names_operations_or_is_refused(self, resource: dict[str, Any], is_one: bool) -> None:
        if is_one:
            resource["resourceType"] = "CapabilityStatement"
        try:
            found = operations(resource)
        except SourceRefused:
            self.assertFalse(is_one)
        else:
            self.assertTrue(all(isinstance(name, str) for name in found))


async def _caught(asking: Any) -> Any:
    """The outcomes; none where all are refused.  Anything else fails the test."""
    try:
        return await asking
    except (SourceRefused, SourceUnavailable):
        return {}
