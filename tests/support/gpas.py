"""
A stand-in for gPAS behind its TTP-FHIR Gateway.

    gpas = GpasStandIn(Domain("patients"), Domain("uids", "uid"))
    gpas.start()
    ... gpas.url ...

As a process of its own, for measurements:

    python -m tests.support.gpas PORT [--delay SECONDS] [--domain NAME[=SHAPE]]...
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet import reactor

from tests.support.fhir import Domain, FhirStandIn, Mode, Refusal

SYSTEM = "https://ths-greifswald.de/gpas"
MOST_VALUES = 100

_OUTER_NAMES = ("pseudonym", "original", "result")


class GpasStandIn(FhirStandIn):
    """
    Answers in another order than it was asked, under varying outer names.

    @ivar refused: values that its gateway answers a whole request by 400 for.
    @ivar repeats_known: whether it answers about originals as they came first, and not as it was asked.
    """

    path = "/ttp-fhir/fhir/gpas"
    operations: tuple[str, ...] = ("pseudonymizeAllowCreate", "pseudonymize", "dePseudonymize")

    def __init__(self, *domains: Domain) -> None:
        super().__init__(*domains)
        self.refused: set[str] = set()
        self.repeats_known = False

    def operate(self, path: str, document: Any) -> Any:
        name = path.removeprefix("$")
        if name == path or name not in self.operations:
            raise Refusal(404, "not-supported", "no such operation")
        is_reverse = name.lower().startswith("de")
        given, wanted = ("pseudonym", "original") if is_reverse else ("original", "pseudonym")
        target, values = self._question(document, given)
        domain = self.domain(target)
        if self.refused.intersection(values):
            raise Refusal(400, "invalid", f"cannot take {values}")
        if name != "pseudonymize":
            self.asked.append(tuple(values))
        answers = []
        for index, value in enumerate(reversed(values)):
            if is_reverse:
                found = domain.originals.get(value)
            elif name == "pseudonymize":
                found = domain.pseudonyms.get(domain.known(value))
            else:
                found = domain.pseudonym(value)
            if self.repeats_known and not is_reverse:
                value = domain.known(value)
            answers.append(self._parameter(domain, index, (given, value), (wanted, found)))
        return {"resourceType": "Parameters", "parameter": self._spoilt(answers)}

    def _question(self, document: Any, given: str) -> tuple[str, list[str]]:
        """What is asked, if it is asked as the guide says."""
        if not isinstance(document, dict) or document.get("resourceType") != "Parameters" or len(document) != 2:
            raise self.violate("a request is Parameters and nothing else")
        targets: list[str] = []
        values: list[str] = []
        for parameter in document["parameter"]:
            if set(parameter) != {"name", "valueString"} or not isinstance(parameter["valueString"], str):
                raise self.violate("a parameter has a name and a valueString")
            if parameter["name"] not in ("target", given):
                raise self.violate(f"there is no parameter {parameter['name']}")
            (targets if parameter["name"] == "target" else values).append(parameter["valueString"])
        if len(targets) != 1:
            raise self.violate("a request has one target")
        if not 1 <= len(values) <= MOST_VALUES:
            raise self.violate(f"a request has 1 to {MOST_VALUES} values, not {len(values)}")
        if len(set(values)) != len(values):
            raise self.violate("a value is asked for twice")
        return targets[0], values

    def _parameter(
        self, domain: Domain, index: int, asked: tuple[str, str], answer: tuple[str, str | None]
    ) -> dict[str, Any]:
        name, found = answer
        if found is None or self.mode is Mode.ERRORS:
            said = "not-found" if found is None else "exception"
            code = {"system": "http://hl7.org/fhir/issue-type", "code": said}
            parts = [_part(*asked), {"name": "error-code", "valueCoding": code}]
            return {"name": "error", "part": parts}
        match self.mode:
            case Mode.ERROR_TEXT:
                found = "*** VALUE NOT FOUND ***"
            case Mode.ECHO:
                found = asked[1]
            case Mode.COLLISION:
                found = domain.pseudonym("the same for all")
            case Mode.INVALID:
                found = "a\\b" if domain.shape != "uid" else "2.25.012"
            case Mode.FOREIGN:
                asked = (asked[0], asked[1] + "x")
        answered = _part(name, found)
        if self.mode is Mode.WRONG_TYPE:
            answered = {"name": name, "valueInteger": 4711}
        target = "another" if self.mode is Mode.OTHER_DOMAIN else domain.name
        parts = [_part("target", target), _part(*asked), answered]
        if index % 2:
            parts.reverse()
        return {"part": parts, "name": _OUTER_NAMES[index % len(_OUTER_NAMES)]}

    def _spoilt(self, answers: list[dict[str, Any]]) -> Any:
        if self.mode is Mode.PARTIAL:
            return answers[1:]
        if self.mode is Mode.DOUBLE:
            others = [
                {"name": "pseudonym", "part": [part | ({"valueIdentifier": {"value": "psn_other"}} if last else {})
                 for part in each["part"] for last in [part["name"] == "pseudonym"]]}
                for each in answers
            ]  # fmt: skip
            return answers + others
        return answers


def _part(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "valueIdentifier": {"system": SYSTEM, "value": value}}


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.gpas")
    parser.add_argument("port", type=int)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument(
        "--domain", action="append", metavar="NAME[=text|short|uid]", help="patients, numbers and uids unless told"
    )
    options = parser.parse_args()
    names = options.domain or ["patients", "numbers=short", "uids=uid"]
    stand_in = GpasStandIn(
        *(Domain(name, shape or "text") for name, _, shape in (each.partition("=") for each in names))
    )
    stand_in.delay = options.delay
    stand_in.start(options.port)
    print(stand_in.url, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
