"""What the command line asks of a benchmark."""

from __future__ import annotations

from pathlib import Path

from attrs import Factory, frozen


@frozen
class Options:
    """The wishes of the caller."""

    quick: bool = False
    """A brief run that shows that everything works; its figures are not to be quoted."""
    rounds: int | None = None
    """How often each subject is measured; None leaves it to the benchmark."""
    workload: str = ""
    """Only workloads with this in their name."""
    only: tuple[str, ...] = ()
    """Only these of the subjects, and the others."""
    others: dict[str, str] = Factory(dict)
    """Further subjects: a name, and a command line with ``{port}`` and ``{sink}``."""
    plots: Path | None = None
    """The folder that plots are kept in; None keeps none, though they are drawn."""
    base: str = "HEAD"
    """``change``: what this checkout is compared with: a commit, or the folder of another checkout."""

    def subjects(self, usual: tuple[str, ...]) -> tuple[str, ...]:
        """The subjects to measure, of those that the benchmark usually measures."""
        wanted = tuple(name for name in usual if not self.only or name in self.only)
        return (*wanted, *(name for name in self.others if name not in wanted))
