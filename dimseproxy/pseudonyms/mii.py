"""
The pseudonymisation interface of the Medizininformatik-Initiative (ballot of 2026): one value a call.

Several calls go as a batch Bundle (FHIR R4 3.1.0.11), whose answers come in the order of the questions.
Implementations may repeat in an answer what they were asked for: where they do, it must be just that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen
from zope.interface import implementer

from dimseproxy.pseudonyms.batches import Outcome
from dimseproxy.pseudonyms.fhir import (
    FhirService,
    RequestRefused,
    Resource,
    UnknownDomain,
    by_name,
    parameters,
    parts,
    text,
)
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.remote import Direction, IDialect

_NAMES: Final = {Direction.PSEUDONYMS: "pseudonymize", Direction.ORIGINALS: "de-pseudonymize"}
#: Drafts before the ballot called it a target.
_CONTEXT: Final = ("context", "target")


@implementer(IDialect)
@frozen
class Mii:
    """
    How an implementation is asked.

    @ivar system: of the Identifiers that go out; the interface leaves it to the implementation, and None sends none.
    """

    system: str | None = None

    @property
    def operations(self) -> frozenset[str]:
        return frozenset(_NAMES.values())

    async def ask(
        self, service: FhirService, direction: Direction, domain: str, values: Sequence[str]
    ) -> Mapping[str, Outcome]:
        operation = f"${_NAMES[direction]}"
        if len(values) == 1:
            try:
                answer = await service.post(operation, self._question(direction, domain, values[0]))
            except RequestRefused as error:
                if error.status != 404 or error.outcome is None:
                    raise
                return {values[0]: _not_found(error.outcome, direction, domain)}
            return {values[0]: _outcome(answer, direction, domain, values[0])}
        entries = [
            {
                "resource": self._question(direction, domain, value),
                "request": {"method": "POST", "url": operation},
            }
            for value in values
        ]
        bundle = await service.post("", {"resourceType": "Bundle", "type": "batch", "entry": entries})
        answers = _entries(bundle, len(values))
        return {
            value: _outcome_of_entry(entry, direction, domain, value)
            for value, entry in zip(values, answers, strict=True)
        }

    async def ignores_case(self, service: FhirService, domain: str, original: str, pseudonym: str) -> bool:
        # There is no question that creates nothing.
        return True

    def _question(self, direction: Direction, domain: str, value: str) -> Resource:
        asked = [("context", domain), (direction.given, value)]
        return {
            "resourceType": "Parameters",
            "parameter": [{"name": name, "valueIdentifier": self._identifier(each)} for name, each in asked],
        }

    def _identifier(self, value: str) -> dict[str, str]:
        return {"value": value} if self.system is None else {"system": self.system, "value": value}


def _entries(bundle: Resource, count: int) -> list[dict[str, Any]]:
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "batch-response":
        raise SourceRefused("the pseudonym service answers a batch with something else")
    entries = bundle.get("entry")
    if not isinstance(entries, list) or len(entries) != count or not all(isinstance(each, dict) for each in entries):
        # Which answer is missing cannot be told.
        raise SourceRefused("the pseudonym service does not answer each value of a batch")
    return entries


def _outcome_of_entry(entry: Mapping[str, Any], direction: Direction, domain: str, value: str) -> Outcome:
    response = entry.get("response")
    if not isinstance(response, dict):
        return SourceRefused("the pseudonym service does not answer each value of a batch")
    # "404 Not Found", or the number alone.
    number = str(response.get("status"))[:3]
    resource = entry.get("resource")
    if number in ("200", "201"):
        return _outcome(resource, direction, domain, value)
    if number == "404":
        # FHIR has a place for it beside the status; the interface's examples have it in the place of the resource.
        return _not_found(response.get("outcome") if resource is None else resource, direction, domain)
    if number[:1] == "5" or number in ("408", "429"):
        raise SourceUnavailable(f"the pseudonym service does not answer: a part of a batch failed (HTTP {number})")
    return SourceRefused("the pseudonym service refuses a value of a batch")


def _outcome(resource: object, direction: Direction, domain: str, value: str) -> Outcome:
    """What a service says of the one value that it was asked for."""
    said = by_name(parameters(resource))
    answer = said.get(direction.wanted)
    if answer is None:
        return SourceRefused(f"the pseudonym service gave no {direction.wanted}")
    if nested := parts(answer):
        said, answer = nested, nested.get("value")
    repeated = [(direction.given, value), *((name, domain) for name in _CONTEXT)]
    for name, asked in repeated:
        if name in said and text(said[name]) != asked:
            raise SourceRefused("the pseudonym service answers what it was not asked for")
    return text(answer) or SourceRefused(f"the pseudonym service gave no {direction.wanted}")


def _not_found(outcome: object, direction: Direction, domain: str) -> Outcome:
    """404 is said of a value and of a context: the outcome's expression tells of which."""
    if direction is Direction.PSEUDONYMS or any(name in where for where in _places(outcome) for name in _CONTEXT):
        return UnknownDomain(domain)
    return None


def _places(outcome: object) -> Iterator[str]:
    """What the issues of an OperationOutcome are about."""
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    for issue in issues if isinstance(issues, list) else []:
        expressions = issue.get("expression") if isinstance(issue, dict) else None
        for expression in expressions if isinstance(expressions, list) else [expressions]:
            if isinstance(expression, str):
                yield expression
