"""What is told of stored objects: to the index, and by it."""

from __future__ import annotations

from enum import Enum

from attrs import field, frozen

from dimseproxy.outbound.archive.answers import Answer
from dimseproxy.outbound.archive.attributes import Attributes


class Duplicates(Enum):
    """What becomes of an object whose SOP Instance UID is there already, with another content."""

    #: The first one stays; the sender is told of success.
    KEEP = "keep"
    #: The new one is there instead.
    REPLACE = "replace"
    #: The first one stays, and the sender is told so.
    REFUSE = "refuse"


class Outcome(Enum):
    """What became of an object."""

    NEW = "new"
    #: Its very data set was there already.
    IDENTICAL = "identical"
    REPLACED = "replaced"
    KEPT = "kept"
    REFUSED = "refused"
    #: Another process took its file away before it was written.
    GONE = "gone"
    #: The disk did not say which files are there: nothing was written.
    UNKNOWN = "unknown"


@frozen
class Instance:
    """
    An object whose file is on the disk.

    @ivar transfer_syntax: UID, of the data set in the file.
    @ivar blob: the name of the file.
    @ivar size: of the file's content, in bytes.
    @ivar digest: of the data set.
    @ivar sender: the AE title that it came from.
    @ivar received: seconds since 1970.
    """

    attributes: Attributes
    transfer_syntax: str
    blob: str
    size: int
    digest: bytes = field(repr=False)
    sender: str
    received: float


@frozen
class Added:
    """
    @ivar superseded: the name of a file that this object, or the one it replaced, was in, and that the index does not
        refer to any more.
    @ivar instead: the name of another file that is kept: one with the same data set, or with another of this instance.
    """

    outcome: Outcome
    superseded: str | None = None
    instead: str | None = None


@frozen
class Stored:
    """An object that is there; all but `size` are as in `Instance` and `Attributes`."""

    sop_class: str
    sop_instance: str = field(repr=False)
    transfer_syntax: str
    blob: str
    size: int


@frozen
class Held:
    """
    The file of an object.

    @ivar blob: its name.
    @ivar size: of its content when it was written, in bytes.
    """

    blob: str
    size: int


@frozen
class StoredPage:
    """
    @ivar next: what to ask for the next page with; None where this is the last.
    @ivar total: how many objects all pages have together, those that are unreadable too, told with the first.
    @ivar unreadable: the SOP Instance UIDs of objects whose rows cannot be read; each is empty where it is not known.
    """

    stored: tuple[Stored, ...]
    next: int | None
    total: int | None = None
    unreadable: tuple[str, ...] = field(default=(), repr=False)


@frozen
class Page:
    """
    Some answers to a query; a page may be empty and not the last.  C{next} as in `StoredPage`.

    @ivar unreadable: how many rows may be answers too, but cannot be read.
    @ivar seconds: that it took to look for them.
    """

    answers: tuple[Answer, ...] = field(repr=False)
    next: int | None
    unreadable: int = 0
    seconds: float = 0.0


@frozen
class StudySummary:
    """
    A study, without who it is of.

    @ivar first_received, last_received: of its objects, in seconds since 1970.
    @ivar size: of its files together, in bytes.
    """

    study: str = field(repr=False)
    modalities: tuple[str, ...]
    senders: tuple[str, ...]
    series: int
    instances: int
    size: int
    first_received: float
    last_received: float


@frozen
class StudyPage:
    """
    Some studies, those first that were there first.  C{next} as in `StoredPage`.

    @ivar unreadable: the numbers of rows of `archive_study` that cannot be read.
    """

    studies: tuple[StudySummary, ...]
    next: int | None
    unreadable: tuple[int, ...] = ()


@frozen
class BlobPage:
    """Some names of files.  C{next} as in `StoredPage`."""

    blobs: tuple[str, ...]
    next: int | None
