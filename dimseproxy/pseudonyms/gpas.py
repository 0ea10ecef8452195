"""
gPAS, as its TTP-FHIR Gateway speaks: one domain and many values a call.

A value that cannot be had is an `error` among the answers, under status 200.  The guide's examples differ in the names
and the order of what they answer with: parts are found by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from attrs import frozen
from zope.interface import implementer

from dimseproxy.pseudonyms.batches import Outcome
from dimseproxy.pseudonyms.fhir import FhirService, Resource, parameters, parts, text, texts
from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.remote import Direction, IDialect

#: Codes of http://hl7.org/fhir/issue-type that say that a value is nobody's pseudonym, or cannot be one of the domain.
_UNKNOWN: Final = frozenset(("not-found", "invalid", "value", "code-invalid"))
#: The part that says why a value cannot be had.
_ERROR: Final = "error-code"


class Operations(Enum):
    """The names that a gateway knows its operations by."""

    CURRENT = ("pseudonymizeAllowCreate", "dePseudonymize")
    #: Release 1.10.2.  The ones before it take values in the URL, which servers log, and are not supported.
    HYPHENATED = ("pseudonymize-allow-create", "de-pseudonymize")


@implementer(IDialect)
@frozen
class Gpas:
    """How a gateway is asked."""

    names: Operations = Operations.CURRENT

    @property
    def operations(self) -> frozenset[str]:
        return frozenset(self.names.value)

    async def ask(
        self, service: FhirService, direction: Direction, domain: str, values: Sequence[str]
    ) -> Mapping[str, Outcome]:
        create, look_up = self.names.value
        name = create if direction is Direction.PSEUDONYMS else look_up
        return _outcomes(
            await service.post(f"${name}", _question(direction, domain, values)), direction, domain, values
        )

    async def ignores_case(self, service: FhirService, domain: str, original: str, pseudonym: str) -> bool:
        # Without "AllowCreate" it is a look only.
        question = _question(Direction.PSEUDONYMS, domain, (original.swapcase(),))
        try:
            said = [parts(each) for each in parameters(await service.post("$pseudonymize", question))]
        except SourceRefused:
            return True
        return any(text(each.get("pseudonym")) == pseudonym for each in said)


def _question(direction: Direction, domain: str, values: Sequence[str]) -> Resource:
    asked = [{"name": direction.given, "valueString": value} for value in values]
    return {"resourceType": "Parameters", "parameter": [{"name": "target", "valueString": domain}, *asked]}


def _outcomes(resource: Resource, direction: Direction, domain: str, values: Sequence[str]) -> dict[str, Outcome]:
    """What the service says of each value; what it says nothing of is not in here."""
    outcomes: dict[str, Outcome] = {}
    asked, given, wanted = frozenset(values), direction.given, direction.wanted
    for parameter in parameters(resource):
        said = texts(parameter)
        value = said.get(given)
        if value is None:
            # What this says nothing of stays without an outcome, and is refused for that.
            continue
        if said.get("target") not in (domain, None):
            raise SourceRefused("the pseudonym service answers what it was not asked for")
        if value not in asked:
            if value.casefold() not in {each.casefold() for each in asked}:
                raise SourceRefused("the pseudonym service answers what it was not asked for")
            # It takes the two for one. What was asked for stays without an outcome, and is refused for that.
            continue
        outcome: Outcome
        if _ERROR in said:
            outcome = _refusal(parts(parameter), direction)
        else:
            outcome = said.get(wanted) or SourceRefused(f"the pseudonym service gave no {wanted}")
        if outcomes.setdefault(value, outcome) != outcome:
            raise SourceRefused("the pseudonym service gives two answers for one value")
    return outcomes


def _refusal(said: Mapping[str, Mapping[str, Any]], direction: Direction) -> Outcome:
    error = said[_ERROR]
    coding = error.get("valueCoding")
    code = coding.get("code") if isinstance(coding, dict) else text(error)
    if direction is Direction.ORIGINALS and code in _UNKNOWN:
        return None
    return SourceRefused(f"the pseudonym service gives no {direction.wanted} for a value")
