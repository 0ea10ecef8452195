"""Which service a SOP class belongs to, against pydicom's dictionary of UIDs."""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.sop_classes import GET_OF_MOVE, MOVE_OF_GET, service_of, service_of_request

_SOP_CLASSES = {uid: entry[0] for uid, entry in UID_dictionary.items() if entry[1] in ("SOP Class", "Meta SOP Class")}

#: What a name does not tell.
_BY_UID = {
    "1.2.840.10008.1.1": "echo",
    "1.2.840.10008.1.3.10": "other",  # Media Storage Directory: for media only
    "1.2.840.10008.1.20.1": "commit",
    "1.2.840.10008.1.20.2": "commit",
    "1.2.840.10008.5.1.4.31": "worklist",
    "1.2.840.10008.5.1.4.32.1": "worklist",
    # Retired; their names are lost.
    "1.2.840.10008.5.1.4.1.1.12.77": "store",
    "1.2.840.10008.5.1.4.1.1.40": "store",
    "1.2.840.10008.5.1.4.1.1.201.6": "find",  # Repository Query is C-FIND
    "1.2.840.10008.5.1.4.37.1": "find",
    "1.2.840.10008.5.1.4.37.2": "find",
    "1.2.840.10008.5.1.4.37.3": "find",
    "1.2.840.10008.5.1.1.33": "other",  # Media Creation Management
    "1.2.840.10008.5.1.1.40": "other",  # Display System
}


def service_by_name(uid: str, name: str) -> str:
    """The service that a person would read from the name of a SOP class."""
    if uid in _BY_UID:
        return _BY_UID[uid]
    for suffix, service in ((" - FIND", "find"), (" - MOVE", "move"), (" - GET", "get")):
        if name.endswith(suffix):
            return service
    if name.startswith("Modality Performed Procedure Step"):
        return "mpps"
    if "Storage" in name:
        return "store"
    return "print" if uid.startswith("1.2.840.10008.5.1.1.") else "other"


class ServiceTests(SynchronousTestCase):
    def test_every_sop_class_of_the_dictionary(self) -> None:
        self.assertEqual(
            {uid: service_of(uid) for uid in _SOP_CLASSES},
            {uid: service_by_name(uid, name) for uid, name in _SOP_CLASSES.items()},
        )

    def test_the_dictionary_is_there(self) -> None:
        self.assertGreater(len(_SOP_CLASSES), 250)

    def test_a_private_sop_class_is_other(self) -> None:
        self.assertEqual(service_of("1.2.826.0.1.3680043.2.135"), "other")

    def test_a_storage_class_of_tomorrow_is_storage(self) -> None:
        self.assertEqual(service_of("1.2.840.10008.5.1.4.1.1.999.1"), "store")

    def test_nothing_at_all_is_other(self) -> None:
        self.assertEqual(service_of(""), "other")


class RequestTests(SynchronousTestCase):
    def test_a_request_tells_the_service_of_a_private_class(self) -> None:
        services = {
            CommandField.C_ECHO_RQ: "echo",
            CommandField.C_STORE_RQ: "store",
            CommandField.C_FIND_RQ: "find",
            CommandField.C_MOVE_RQ: "move",
            CommandField.C_GET_RQ: "get",
            CommandField.N_CREATE_RQ: "other",
            0x0777: "other",
        }
        for field, service in services.items():
            self.assertEqual(service_of_request("1.2.3.4", field), service)

    def test_a_known_class_keeps_its_service(self) -> None:
        self.assertEqual(service_of_request("1.2.840.10008.5.1.4.31", CommandField.C_FIND_RQ), "worklist")


class TwinTests(SynchronousTestCase):
    def test_every_move_class_has_the_get_class_of_its_model(self) -> None:
        names = {name: uid for uid, name in _SOP_CLASSES.items()}
        twins = {
            uid: names[f"{name.removesuffix(' - MOVE')} - GET"]
            for uid, name in _SOP_CLASSES.items()
            if name.endswith(" - MOVE")
        }
        self.assertEqual(GET_OF_MOVE, twins)

    def test_the_way_back(self) -> None:
        self.assertEqual({get: move for move, get in GET_OF_MOVE.items()}, MOVE_OF_GET)

    def test_a_get_class_without_a_move_class_has_no_twin(self) -> None:
        self.assertNotIn("1.2.840.10008.5.1.4.1.2.5.3", MOVE_OF_GET)
