"""The settings of an archive: what it takes, how it keeps that, for how long, and where it sends it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from attrs import field, frozen

from dimseproxy.config.archive_kinds import Hours, HoursOfDay, Octets, SopClasses
from dimseproxy.config.document import Node
from dimseproxy.config.kinds import Name, Seconds, Whole, one_of
from dimseproxy.config.places import FolderPath
from dimseproxy.config.reading import Reading
from dimseproxy.config.shapes import ListOf, Record, setting
from dimseproxy.config.source_settings import SECRET, Secret

GIB: Final = 1 << 30
_A_CENTURY: Final = 36525


@frozen(kw_only=True)
class RetentionSettings:
    """When studies are deleted, the oldest first. A study that is still to be dispatched stays in any case."""

    days: int | None = field(
        default=None,
        metadata=setting(
            Whole(1, _A_CENTURY),
            "How long a study is kept after its last object came, in days.",
            example="30",
            default="for ever",
        ),
    )
    size: int | None = field(
        default=None,
        metadata=setting(
            Octets(),
            "How much all studies together may take; those whose last object came first make room.",
            example='"500 GiB"',
            default="whatever the disk takes",
        ),
    )


@frozen(kw_only=True)
class WatermarkSettings:
    """How full the disk may become."""

    refuse_below: int = field(
        default=GIB,
        metadata=setting(
            Octets(),
            "With less than this free, objects are refused (status A700); with more, they are taken again.",
            example='"10 GiB"',
        ),
    )


@frozen(kw_only=True)
class DispatchSettings:
    """Where complete studies are sent. What could not be sent stays, is tried again, and can be queued again."""

    to: str = field(metadata=setting(Name(), "The name of the outbound that gets them.", example="pacs"))
    privacy: str | None = field(
        default=None,
        metadata=setting(
            Name(),
            "The name of the privacy policy, with `originals: inbound`, under which they are sent.",
            example="research",
            default="none: they are sent as they are kept",
        ),
    )
    schedule: Hours | None = field(
        default=None,
        metadata=setting(
            HoursOfDay(),
            "When associations are opened to it; past midnight where the end comes earlier.",
            example='"20:00-06:00"',
            default="at any time",
        ),
    )
    retries: int = field(
        default=10,
        metadata=setting(
            Whole(0, 1000),
            "How often a study is tried again before it becomes a dead letter, which `dimseproxy requeue` sends again.",
            example="10",
        ),
    )
    backoff: float = field(
        default=30.0,
        converter=float,
        metadata=setting(
            Seconds(),
            "Before the first retry, in seconds; each further one waits twice as long, give or take a quarter.",
            example="60",
        ),
    )
    longest_backoff: float = field(
        default=3600.0,
        converter=float,
        metadata=setting(Seconds(), "No retry waits longer than this, in seconds.", example="1800"),
    )
    pause: float | None = field(
        default=None,
        metadata=setting(
            Seconds(),
            "From the end of one study to the beginning of the next, in seconds.",
            example="5",
            default="none",
        ),
    )
    associations: int = field(
        default=1,
        metadata=setting(Whole(1, 100), "How many studies are sent side by side.", example="2"),
    )


def _check_dispatch(dispatch: DispatchSettings, node: Node, reading: Reading) -> None:
    if dispatch.longest_backoff < dispatch.backoff:
        where = node.get("longest_backoff") or node.get("backoff") or node
        reading.note(where, f"is shorter than the first wait, {dispatch.backoff:g} s: `longest_backoff` is the most")


_DISPATCH: Final = Record(DispatchSettings, "a destination", check=_check_dispatch)


@frozen(kw_only=True)
class ArchiveSettings:
    """An archive of the proxy's own: a small PACS, which keeps objects as files and answers from an index of them.

    The index is in `database`. There is one archive at most.
    """

    folder: Path | None = field(
        default=None,
        metadata=setting(
            FolderPath(),
            "Where the files are.",
            example="/srv/dicom",
            default="`archive` in `data_dir`",
        ),
    )
    sop_classes: tuple[str, ...] | None = field(
        default=None,
        metadata=setting(
            SopClasses(),
            "The SOP classes whose objects it takes.",
            example="[CTImageStorage, PositronEmissionTomographyImageStorage, MRImageStorage]",
        ),
    )
    duplicates: Literal["keep", "replace", "refuse"] = field(
        default="refuse",
        metadata=setting(
            one_of("keep", "replace", "refuse"),
            "What happens to an object whose SOP Instance UID is there with different content. `refuse`: the first one "
            "stays, and the sender is told so (status 0111). `keep`: the first one stays, and the sender is told "
            "success. `replace`: the last one stays. The same content again is a success in any case.",
            example="replace",
        ),
    )
    study_timeout: float = field(
        default=60.0,
        converter=float,
        metadata=setting(Seconds(), "Of silence after which a study is complete, in seconds.", example="300"),
    )
    key: Secret | None = field(
        default=None,
        metadata=setting(
            SECRET,
            "The key with which files, and what identifies a patient in the index, are encrypted.",
            example="{file: secret.txt}",
            default="none: they are in the clear",
        ),
    )
    retention: RetentionSettings = field(
        default=RetentionSettings(),
        metadata=setting(
            Record(RetentionSettings, "a retention"),
            "When studies are deleted.",
            example="{days: 30}",
            default="never",
        ),
    )
    watermark: WatermarkSettings = field(
        default=WatermarkSettings(),
        metadata=setting(
            Record(WatermarkSettings, "a watermark"),
            "How full the disk may become.",
            example='{refuse_below: "10 GiB"}',
            default="as below",
        ),
    )
    dispatch: tuple[DispatchSettings, ...] = field(
        default=(),
        metadata=setting(
            ListOf(_DISPATCH),
            "Where complete studies are sent, each destination on its own.",
            example="[{to: pacs}]",
            default="nowhere",
        ),
    )


ARCHIVE: Final = Record(ArchiveSettings, "an archive")
