"""Table 9-10 of PS3.8, against a copy that was typed apart from the code, and against pynetdicom's."""

from __future__ import annotations

from pynetdicom.fsm import ACTIONS, TRANSITION_TABLE
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.ul.state_table import NEXT_STATES, TABLE, Action, Event, State, next_action

#: By column, where the code has rows: what happens in each state, event by event, empty cells left out.
COLUMNS = {
    1: "1:AE-1 5:AE-5",
    2: "3:AA-1 4:AA-1 6:AE-6 10:AA-1 12:AA-1 13:AA-1 16:AA-2 17:AA-5 18:AA-2 19:AA-1",
    3: "3:AA-8 4:AA-8 6:AA-8 7:AE-7 8:AE-8 10:AA-8 12:AA-8 13:AA-8 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    4: "2:AE-2 15:AA-2 17:AA-4",
    5: "3:AE-3 4:AE-4 6:AA-8 10:AA-8 12:AA-8 13:AA-8 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    6: "3:AA-8 4:AA-8 6:AA-8 9:DT-1 10:DT-2 11:AR-1 12:AR-2 13:AA-8 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    7: "3:AA-8 4:AA-8 6:AA-8 10:AR-6 12:AR-8 13:AR-3 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    8: "3:AA-8 4:AA-8 6:AA-8 9:AR-7 10:AA-8 12:AA-8 13:AA-8 14:AR-4 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    9: "3:AA-8 4:AA-8 6:AA-8 10:AA-8 12:AA-8 13:AA-8 14:AR-9 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    10: "3:AA-8 4:AA-8 6:AA-8 10:AA-8 12:AA-8 13:AR-10 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    11: "3:AA-8 4:AA-8 6:AA-8 10:AA-8 12:AA-8 13:AR-3 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    12: "3:AA-8 4:AA-8 6:AA-8 10:AA-8 12:AA-8 13:AA-8 14:AR-4 15:AA-1 16:AA-3 17:AA-4 19:AA-8",
    13: "3:AA-6 4:AA-6 6:AA-7 10:AA-6 12:AA-6 13:AA-6 16:AA-2 17:AR-5 18:AA-2 19:AA-7",
}

#: Tables 9-6 to 9-9: the state after each action.
AFTER = (
    "AE-1:4 AE-2:5 AE-3:6 AE-4:1 AE-5:2 AE-6:3,13 AE-7:6 AE-8:13 DT-1:6 DT-2:6 AR-1:7 AR-2:8 AR-3:1 AR-4:13 AR-5:1 "
    "AR-6:7 AR-7:8 AR-8:9,10 AR-9:11 AR-10:12 AA-1:13 AA-2:1 AA-3:1 AA-4:1 AA-5:1 AA-6:13 AA-7:13 AA-8:13"
)


def typed_table() -> dict[tuple[str, str], str]:
    """The table above, keyed as pynetdicom's is."""
    return {
        (f"Evt{event}", f"Sta{state}"): action
        for state, column in COLUMNS.items()
        for event, _, action in (cell.partition(":") for cell in column.split())
    }


class TransitionTableTests(SynchronousTestCase):
    def test_there_are_247_cells(self) -> None:
        self.assertEqual(set(TABLE), {(event, state) for event in Event for state in State})
        self.assertEqual(len(TABLE), 19 * 13)

    def test_every_cell_is_as_typed(self) -> None:
        ours = {
            (event.value, state.value): action.value for (event, state), action in TABLE.items() if action is not None
        }
        self.assertEqual(ours, typed_table())

    def test_every_cell_is_as_pynetdicom_has_it(self) -> None:
        ours = {
            (event.value, state.value): action.value for (event, state), action in TABLE.items() if action is not None
        }
        self.assertEqual(ours, TRANSITION_TABLE)

    def test_next_action_reads_the_table(self) -> None:
        self.assertIs(next_action(Event.A_RELEASE_RP_PDU, State.AWAITING_RELEASE_RP), Action("AR-3"))
        self.assertIs(next_action(Event.A_RELEASE_RP_PDU, State.IDLE), None)


class NextStateTests(SynchronousTestCase):
    def test_every_action_leads_where_the_standard_says(self) -> None:
        typed = {
            action: [f"Sta{number}" for number in states.split(",")]
            for action, _, states in (word.partition(":") for word in AFTER.split())
        }
        ours = {action.value: [state.value for state in states] for action, states in NEXT_STATES.items()}
        self.assertEqual(ours, typed)

    def test_every_action_of_the_standard_is_in_the_table(self) -> None:
        self.assertEqual(set(TABLE.values()) - {None}, set(Action))

    def test_pynetdicom_knows_the_same_actions(self) -> None:
        self.assertEqual({action.value for action in Action}, set(ACTIONS))
