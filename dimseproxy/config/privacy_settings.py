"""The settings of a privacy policy: who holds the identities, and what happens to each attribute that crosses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from attrs import field, frozen

from dimseproxy.config.archive_kinds import Octets, SopClass
from dimseproxy.config.attributes import AttributeList, Replacements
from dimseproxy.config.document import Node
from dimseproxy.config.frozen_mapping import FrozenMapping, freeze
from dimseproxy.config.kinds import FilePath, Kind, Text, Whole, one_of
from dimseproxy.config.reading import Reading
from dimseproxy.config.shapes import ListOf, OneOf, Record, SetOf, setting
from dimseproxy.config.source_settings import (
    SECRET,
    SOURCE,
    BasicAuth,
    BearerAuth,
    CacheSettings,
    CsvSettings,
    GpasSettings,
    MiiSettings,
    Secret,
    SourceSettings,
    VaultSettings,
)

__all__ = [
    "A_YEAR",
    "OPTIONS",
    "BasicAuth",
    "BearerAuth",
    "BlankSettings",
    "CacheSettings",
    "CsvSettings",
    "GpasSettings",
    "MiiSettings",
    "PrivacySettings",
    "Secret",
    "SourceSettings",
    "VaultSettings",
]

#: The options of the Basic Profile (PS3.15 E.3).
OPTIONS: Final = (
    "retain-safe-private",
    "retain-uids",
    "retain-device-identity",
    "retain-institution-identity",
    "retain-patient-characteristics",
    "retain-longitudinal-full-dates",
    "retain-longitudinal-modified-dates",
    "clean-descriptors",
    "clean-structured-content",
    "clean-graphics",
)
_CENTURY: Final = 36525
#: By how many days dates move where a policy does not say.
A_YEAR: Final = (-365, -1)

Region = tuple[int, int, int, int]


@frozen
class _Rectangle(Kind[Region]):
    """A rectangle of pixels."""

    label: str = "`[x, y, width, height]`, in pixels"

    def read(self, node: Node, reading: Reading) -> Region:
        numbers = ListOf(Whole(0, 65535)).read(node, reading)
        if len(numbers) != 4:
            reading.refuse(node, f"has {len(numbers)} numbers, but must have four: `[x, y, width, height]`")
        x, y, width, height = numbers
        if not width or not height:
            reading.refuse(node, "is empty: the width and the height are at least 1")
        return x, y, width, height

    def write(self, value: Region) -> object:
        return list(value)


@frozen
class Regions(ListOf[Region]):
    """Rectangles of pixels."""

    element: Kind[Region] = _Rectangle()
    never_empty: str | None = "name at least one region, or leave the entry out"

    @property
    def label(self) -> str:
        return "a list of `[x, y, width, height]`, in pixels"


@frozen
class DayRange(Kind[tuple[int, int]]):
    """Two numbers of days: the least and the most."""

    label: str = "`[least, most]`, in days"

    def read(self, node: Node, reading: Reading) -> tuple[int, int]:
        days = ListOf(Whole(-_CENTURY, _CENTURY)).read(node, reading)
        if len(days) != 2:
            reading.refuse(node, f"has {len(days)} numbers, but must have two: `[least, most]`")
        least, most = days
        if least > most:
            reading.refuse(node, f"starts after its end: write `[{most}, {least}]`")
        if least == most == 0:
            reading.refuse(node, "moves no date: write a range such as `[-365, -1]`")
        return least, most

    def write(self, value: tuple[int, int]) -> object:
        return list(value)


@frozen
class WordFile(FilePath):
    """A file of words."""

    label: str = "a text file"

    def fault_of(self, content: bytes) -> str | None:
        try:
            content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return "is not UTF-8 text: save it as UTF-8"
        return None


@frozen(kw_only=True)
class BlankSettings:
    """Regions of the pixel data to blank, in the objects that match in every key that is given."""

    sop_class: str | None = field(
        default=None,
        metadata=setting(SopClass(), "SOP Class UID.", example="1.2.840.10008.5.1.4.1.1.6.1", default="any"),
    )
    modality: str | None = field(
        default=None, metadata=setting(Text(), "Modality (0008,0060).", example="US", default="any")
    )
    manufacturer: str | None = field(
        default=None, metadata=setting(Text(), "Manufacturer (0008,0070).", example="ACME", default="any")
    )
    model: str | None = field(
        default=None,
        metadata=setting(Text(), "Manufacturer's Model Name (0008,1090).", example="Sono 3", default="any"),
    )
    rows: int | None = field(
        default=None, metadata=setting(Whole(1, 65535), "Rows (0028,0010).", example="768", default="any")
    )
    columns: int | None = field(
        default=None, metadata=setting(Whole(1, 65535), "Columns (0028,0011).", example="1024", default="any")
    )
    regions: tuple[Region, ...] = field(
        metadata=setting(Regions(), "What is blanked, in every frame.", example="[[0, 0, 1024, 60]]")
    )


def _check_blank(blank: BlankSettings, node: Node, reading: Reading) -> None:
    """Where the size of the image is known, all of a region is in it."""
    regions = node.get("regions")
    for item, (x, y, width, height) in zip(regions.items() if regions else (), blank.regions, strict=True):
        if blank.columns is not None and x + width > blank.columns:
            reading.note(item, f"ends at column {x + width}, and `columns` is {blank.columns}")
        if blank.rows is not None and y + height > blank.rows:
            reading.note(item, f"ends at row {y + height}, and `rows` is {blank.rows}")


def _safe_form(creators: object) -> str:
    return "safe"


_PRIVATE: Final[OneOf[str | tuple[str, ...]]] = OneOf(
    words={"remove": "remove", "keep": "keep"},
    forms={
        "safe": ListOf(Text("a private creator"), never_empty="name the private creators whose attributes are safe")
    },
    form_of=_safe_form,
)


def _freeze_texts(entries: Mapping[int, str]) -> Mapping[int, str]:
    return freeze(entries)


@frozen(kw_only=True)
class PrivacySettings:
    """A privacy policy, which routes name. What the lists say of an attribute beats what the profile says.

    Attributes are written by keyword (`PatientID`) or number (`"(0010,0020)"`), and stand in one list only. The
    values of a kind are mapped everywhere: `SOPInstanceUID` in `pseudonymise` covers every reference to an instance,
    and the command sets.
    """

    originals: Literal["outbound", "inbound"] = field(
        metadata=setting(
            one_of("outbound", "inbound"),
            "Which side holds the identities. `outbound`: callers see pseudonyms, and what they send back is "
            "re-identified. `inbound`: what callers send leaves under pseudonyms.",
            example="outbound",
        )
    )
    pseudonyms: SourceSettings = field(
        default=VaultSettings(),
        metadata=setting(
            SOURCE,
            "Where pseudonyms come from: the embedded vault, a service, or tables: `{csv: {patient: patients.csv}}` "
            "names a file with two columns, original and pseudonym, for each kind of value; the vault has the other "
            "kinds.",
            example="{gpas: {url: 'https://gpas.example.org/ttp-fhir/fhir/gpas', domain: research}}",
        ),
    )
    key: Secret | None = field(
        default=None,
        metadata=setting(
            SECRET,
            "The key of the vault and of date shifts.",
            example="{file: secret.txt}",
            default="`privacy.key` in `data_dir`, created where it is not there",
        ),
    )
    profile: Literal["basic", "none"] = field(
        default="basic",
        metadata=setting(
            one_of("basic", "none"),
            "The Basic Profile of PS3.15 Annex E, or only what the lists say.",
            example="basic",
        ),
    )
    options: frozenset[str] = field(
        default=frozenset(),
        converter=frozenset,
        metadata=setting(
            SetOf(OPTIONS), "Options of the profile (PS3.15 E.3).", example="[clean-descriptors]", default="none"
        ),
    )
    pseudonymise: tuple[int, ...] | None = field(
        default=None,
        metadata=setting(
            AttributeList("pseudonymise"),
            "Attributes whose values are replaced by pseudonyms.",
            example="[PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, AccessionNumber]",
            default="`[PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID]`; with `retain-uids` only "
            "`[PatientID]`; in both cases without those that `remove` or `replace` names",
        ),
    )
    remove: tuple[int, ...] = field(
        default=(),
        metadata=setting(AttributeList("remove"), "Attributes that do not cross.", example="[PatientBirthDate]"),
    )
    keep: tuple[int, ...] = field(
        default=(),
        metadata=setting(AttributeList("keep"), "Attributes that cross unchanged.", example="[PatientSex]"),
    )
    replace: Mapping[int, str] = field(
        default=FrozenMapping(),
        converter=_freeze_texts,
        metadata=setting(
            Replacements(), "Attributes whose values a text takes the place of.", example="{PatientName: Anonymous}"
        ),
    )
    private_attributes: str | tuple[str, ...] | None = field(
        default=None,
        metadata=setting(
            _PRIVATE,
            "What happens to private attributes; `safe` names the private creators whose attributes are all harmless.",
            example="{safe: [ACME 1.1]}",
            default="`remove`; with `retain-safe-private` those stay that PS3.15 Table E.3.10-1 lists as safe",
        ),
    )
    shift_days: tuple[int, int] = field(
        default=A_YEAR,
        metadata=setting(
            DayRange(),
            "With `retain-longitudinal-modified-dates`: by how many days the dates of a patient move, never by none.",
            example="[-365, -1]",
        ),
    )
    age: Literal["remove", "derive"] | None = field(
        default=None,
        metadata=setting(
            one_of("remove", "derive"),
            "Patient's Age: removed, or worked out from the birth date.",
            example="derive",
            default="as the profile says",
        ),
    )
    burned_in: Literal["refuse", "pass", "blank"] = field(
        default="refuse",
        metadata=setting(
            one_of("refuse", "pass", "blank"),
            "Objects that may show identities in their pixels, by their SOP class or (0028,0301): refused, passed, or "
            "passed with the regions of `blank` blanked.",
            example="refuse",
        ),
    )
    blank: tuple[BlankSettings, ...] = field(
        default=(),
        metadata=setting(
            ListOf(Record(BlankSettings, "regions to blank", check=_check_blank)),
            "What is blanked: the regions of every entry that matches. An object that none matches is refused.",
            example="[{modality: US, rows: 768, columns: 1024, regions: [[0, 0, 1024, 60]]}]",
            default="none",
        ),
    )
    vocabulary: Path | None = field(
        default=None,
        metadata=setting(
            WordFile(),
            "A file of words, separated by spaces or lines, that cleaning leaves in a text.",
            example="words.txt",
            default="the built-in ones only",
        ),
    )
    guard: Literal["refuse", "warn", "off"] = field(
        default="refuse",
        metadata=setting(
            one_of("refuse", "warn", "off"),
            "What leaves is searched once more for this patient's known values; found, the object is refused, or "
            "passed with a warning in the log.",
            example="refuse",
        ),
    )
    max_head: int = field(
        default=64 << 20,
        metadata=setting(
            Octets(1 << 20, 1 << 30),
            "How much of a data set is held until all its identities are known: all but bulk data, so all of a "
            "structure set or a report. A longer one is refused. While one crosses, it takes about three times as "
            "much memory.",
            example='"64 MiB"',
        ),
    )
    new_instances: Literal["refuse", "accept"] = field(
        default="refuse",
        metadata=setting(
            one_of("refuse", "accept"),
            "Objects sent back whose Series or SOP Instance UID is nobody's pseudonym, such as segmentations made "
            "from pseudonymised images: refused, or accepted under UIDs that are made of theirs and the key, so that "
            "none can take the place of an original. Patient and study must be known in any case.",
            example="accept",
        ),
    )
