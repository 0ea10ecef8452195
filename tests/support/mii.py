"""A stand-in for a service with the pseudonymisation interface of the Medizininformatik-Initiative."""

from __future__ import annotations

from typing import Any

from tests.support.fhir import Domain, FhirStandIn, Mode, Refusal

MOST_ENTRIES = 100


class MiiStandIn(FhirStandIn):
    """
    One value an operation; several operations in a batch Bundle.

    @ivar repeats: whether its answers repeat what was asked, which the interface leaves open.
    """

    path = "/fhir"
    operations = ("$pseudonymize", "$de-pseudonymize")

    def __init__(self, *domains: Domain) -> None:
        super().__init__(*domains)
        self.repeats = True
        self.bundles = 0

    def operate(self, path: str, document: Any) -> Any:
        if path:
            value, answer = self._single(path, document)
            self.asked.append((value,))
            return answer
        if document.get("resourceType") != "Bundle" or document.get("type") != "batch":
            raise self.violate("what is posted to the base is a batch Bundle")
        if not 1 <= len(document["entry"]) <= MOST_ENTRIES:
            raise self.violate(f"a batch has 1 to {MOST_ENTRIES} entries")
        self.bundles += 1
        entries, values = [], []
        for entry in document["entry"]:
            if entry["request"].keys() != {"method", "url"} or entry["request"]["method"] != "POST":
                raise self.violate("an entry is a POST")
            try:
                value, answer = self._single(entry["request"]["url"], entry["resource"])
                values.append(value)
                entries.append({"resource": answer, "response": {"status": "200 OK"}})
            except Refusal as refusal:
                values.append("")
                entries.append({"resource": refusal.outcome, "response": {"status": f"{refusal.status} No"}})
        self.asked.append(tuple(values))
        if self.mode is Mode.PARTIAL:
            entries.pop()
        return {"resourceType": "Bundle", "type": "batch-response", "entry": entries}

    def _single(self, operation: str, document: Any) -> tuple[str, Any]:
        if operation not in self.operations:
            raise Refusal(404, "not-supported", "no such operation")
        is_reverse = operation == "$de-pseudonymize"
        given, wanted = ("pseudonym", "original") if is_reverse else ("original", "pseudonym")
        if document.get("resourceType") != "Parameters":
            raise self.violate("an operation is asked for with Parameters")
        asked = {}
        for parameter in document["parameter"]:
            if set(parameter) != {"name", "valueIdentifier"} or parameter["name"] in asked:
                raise self.violate("a parameter is one Identifier")
            asked[parameter["name"]] = parameter["valueIdentifier"]["value"]
        if set(asked) != {"context", given}:
            raise self.violate(f"an operation has a context and one {given}")
        value = asked[given]
        domain = self.domain(asked["context"])
        found = domain.originals.get(value) if is_reverse else domain.pseudonym(value)
        if found is None:
            expression = f"Parameters.parameter.where(name='{given}')"
            raise Refusal(404, "not-found", f"nothing is known of {value}", expression)
        if self.mode is Mode.FOREIGN:
            value += "x"
        parts = [_part("context", domain.name), _part(given, value)] if self.repeats else []
        if is_reverse:
            answer = [{"name": wanted, "part": [*parts, _part("value", found)]}]
        else:
            answer = [*parts, _part(wanted, found)]
        return asked[given], {"resourceType": "Parameters", "parameter": answer}


def _part(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "valueIdentifier": {"system": "https://example.org/pseudonyms", "value": value}}
