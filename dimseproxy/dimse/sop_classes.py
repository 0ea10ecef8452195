"""
Which service a SOP class belongs to (PS3.4, PS3.6 Annex A), and the twins of the retrieve SOP classes.

An abstract syntax that is not known here belongs to `other` until a message says what it is.
"""

from __future__ import annotations

from typing import Final

from dimseproxy.dimse.command_set import CommandField

VERIFICATION: Final = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_PUSH: Final = "1.2.840.10008.1.20.1"
INVENTORY_CREATION: Final = "1.2.840.10008.5.1.4.1.1.201.5"
#: UPS Filtered Global Subscription, a well-known instance (PS3.4 CC.2.3).
FILTERED_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5.1"

_STORAGE_PREFIX: Final = "1.2.840.10008.5.1.4.1.1."
#: Storage outside of the storage prefix.
_OTHER_STORAGE: Final = frozenset(
    f"1.2.840.10008.5.1.{suffix}"
    for suffix in (
        "1.27",
        "1.29",
        "1.30",
        "4.34.1",
        "4.34.7",
        "4.34.10",
        "4.38.1",
        "4.39.1",
        "4.43.1",
        "4.44.1",
        "4.45.1",
    )
)
_PRINT_PREFIX: Final = "1.2.840.10008.5.1.1."

_SERVICES: Final = {
    VERIFICATION: "echo",
    "1.2.840.10008.5.1.4.31": "worklist",
    "1.2.840.10008.5.1.4.32.1": "worklist",
    "1.2.840.10008.3.1.2.3.3": "mpps",
    "1.2.840.10008.3.1.2.3.4": "mpps",
    "1.2.840.10008.3.1.2.3.5": "mpps",
    STORAGE_COMMITMENT_PUSH: "commit",
    "1.2.840.10008.1.20.2": "commit",
    # Below the storage and print prefixes, but neither: repository query, inventory creation, media creation, displays.
    "1.2.840.10008.5.1.4.1.1.201.6": "find",
    INVENTORY_CREATION: "other",
    "1.2.840.10008.5.1.1.33": "other",
    "1.2.840.10008.5.1.1.40": "other",
}
#: Query/retrieve, defined procedure protocol, relevant patient information, hanging protocol, color palette, implant
#: templates, protocol approval, inventory.
_FIND = (
    *("1.2.1.1", "1.2.2.1", "1.2.3.1", "20.1", "37.1", "37.2", "37.3", "38.2", "39.2", "43.2", "44.2", "45.2"),
    *("1.1.200.4", "1.1.201.2"),
)
_MOVE = (
    *("1.2.1.2", "1.2.2.2", "1.2.3.2", "1.2.4.2", "20.2", "38.3", "39.3", "43.3", "44.3", "45.3"),
    *("1.1.200.5", "1.1.201.3"),
)
_GET = (
    *("1.2.1.3", "1.2.2.3", "1.2.3.3", "1.2.4.3", "1.2.5.3", "20.3", "38.4", "39.4", "43.4", "44.4", "45.4"),
    *("1.1.200.6", "1.1.201.4"),
)
for _service, _suffixes in (("find", _FIND), ("move", _MOVE), ("get", _GET)):
    _SERVICES.update({f"1.2.840.10008.5.1.4.{suffix}": _service for suffix in _suffixes})

#: The C-GET SOP class of the same information model as a C-MOVE SOP class, and back.
GET_OF_MOVE: Final = {
    f"1.2.840.10008.5.1.4.{move}": f"1.2.840.10008.5.1.4.{get}"
    for move in _MOVE
    for get in _GET
    if move.rpartition(".")[0] == get.rpartition(".")[0]
}
MOVE_OF_GET: Final = {get: move for move, get in GET_OF_MOVE.items()}

_SERVICES_BY_COMMAND: Final = {
    CommandField.C_ECHO_RQ: "echo",
    CommandField.C_STORE_RQ: "store",
    CommandField.C_FIND_RQ: "find",
    CommandField.C_MOVE_RQ: "move",
    CommandField.C_GET_RQ: "get",
}


def service_of(abstract_syntax: str) -> str:
    """The service of an abstract syntax, in the words of an application's `may`."""
    service = _SERVICES.get(abstract_syntax)
    if service is not None:
        return service
    if abstract_syntax.startswith(_STORAGE_PREFIX) or abstract_syntax in _OTHER_STORAGE:
        return "store"
    if abstract_syntax.startswith(_PRINT_PREFIX):
        return "print"
    return "other"


def service_of_request(abstract_syntax: str, command_field: int) -> str:
    """The service of a request in a context of this abstract syntax: what it does counts, where that says more."""
    service = service_of(abstract_syntax)
    if service == "other":
        return _SERVICES_BY_COMMAND.get(command_field, service)  # type: ignore[call-overload,no-any-return]
    return service


_COMMANDS: Final = {
    "echo": CommandField.C_ECHO_RQ,
    "store": CommandField.C_STORE_RQ,
    "find": CommandField.C_FIND_RQ,
    "worklist": CommandField.C_FIND_RQ,
    "move": CommandField.C_MOVE_RQ,
    "get": CommandField.C_GET_RQ,
}
_COMPOSITE: Final = frozenset(_COMMANDS.values())


def fits(abstract_syntax: str, command_field: int) -> bool:
    """
    Whether a request may come in a context of this abstract syntax: the composite services have one request each, the
    normalized ones have none of those, and of what is not known here anything may come (PS3.4).
    """
    service = service_of(abstract_syntax)
    if service == "other" or command_field == CommandField.C_CANCEL_RQ:
        return True
    expected = _COMMANDS.get(service)
    return command_field == expected if expected is not None else command_field not in _COMPOSITE
