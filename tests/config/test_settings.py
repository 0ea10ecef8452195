"""Settings are values: they cannot change, and they can be compared and hashed."""

from __future__ import annotations

from attrs.exceptions import FrozenInstanceError
from twisted.trial.unittest import TestCase

from dimseproxy.config import ConfigurationError, DimseOutbound, FrozenMapping, Mistake, Route, Settings
from dimseproxy.config.mistakes import did_you_mean

PACS = DimseOutbound(connect="tcp:h:1", ae_title="P")


class SettingsTests(TestCase):
    def test_mappings_are_copied_and_frozen(self) -> None:
        outbound = {"p": PACS}
        settings = Settings(outbound=outbound)
        outbound.clear()
        self.assertEqual(settings.outbound, {"p": PACS})

    def test_equal_settings_hash_alike(self) -> None:
        one = Settings(outbound={"p": PACS, "q": PACS}, routes=(Route(outbound="p"),))
        two = Settings(outbound={"q": PACS, "p": PACS}, routes=(Route(outbound="p"),))
        self.assertEqual({one: 1}[two], 1)

    def test_a_setting_cannot_be_assigned(self) -> None:
        with self.assertRaises(FrozenInstanceError):
            PACS.ae_title = "Q"  # type: ignore[misc]  # this is what must not work

    def test_an_entry_cannot_be_assigned(self) -> None:
        with self.assertRaises(TypeError):
            FrozenMapping({"a": 1})["a"] = 2  # type: ignore[index]  # this is what must not work


class MistakeTests(TestCase):
    def test_one_line_each(self) -> None:
        error = ConfigurationError([Mistake("a.b", "is wrong", 3), Mistake("", "is empty")])
        self.assertEqual(str(error), "line 3: a.b: is wrong\nis empty")

    def test_a_word_in_the_wrong_case_is_found(self) -> None:
        self.assertEqual(did_you_mean("PACS", ["pacs", "xyz"]), "did you mean `pacs`?")

    def test_nothing_to_choose_from(self) -> None:
        self.assertEqual(did_you_mean("a", []), "there is none to choose from")
