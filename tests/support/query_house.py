"""
Objects and queries that are generated, the same ones every time, and what the standard says that each query finds.

The answer is computed here in the plainest way, from PS3.4 C.2.2.2 and from the values that the objects were made of,
and shares no code with the archive.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

from attrs import frozen
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind as PATIENT_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND

from tests.support.objects import Sample

SEED: Final = 20240229
PATIENTS: Final = 40
OBJECTS: Final = 500
QUERIES: Final = 200

Values = Mapping[str, str]
"""The values of one object, by keyword, as text."""

UNIQUE: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
LEVELS: Final[Mapping[str, tuple[str, ...]]] = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime"),
        *("AccessionNumber", "StudyID", "StudyDescription", "ModalitiesInStudy"),
    ),
    "SERIES": ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription"),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}
"""What is asked for, and may be matched, at each level."""
COUNTED: Final[Mapping[str, Mapping[str, str]]] = {
    "PATIENT": {
        "NumberOfPatientRelatedStudies": "StudyInstanceUID",
        "NumberOfPatientRelatedInstances": "SOPInstanceUID",
    },
    "STUDY": {"NumberOfStudyRelatedSeries": "SeriesInstanceUID", "NumberOfStudyRelatedInstances": "SOPInstanceUID"},
    "SERIES": {"NumberOfSeriesRelatedInstances": "SOPInstanceUID"},
    "IMAGE": {},
}
"""What is counted where it is asked for, and by which unique key."""

_KINDS = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
_FAMILIES = ("Meier", "MEIER", "Meyer", "Smith", "Smythe", "Oak-Tree", "O'Hara", "Jürgens", "Ångström", "Lee")
_GIVEN = ("Anna", "Bo", "Carla^Maria", "Dan", "Eve")
_DESCRIPTIONS = ("CT Thorax", "ct thorax", "MR Head", "PET whole body", "Follow-up", "")
_TIMES = ("101500", "101559.5", "235959", "000000", "1200", "0730")
_DATES: Final = frozenset({"PatientBirthDate", "StudyDate"})
_NAMES: Final = frozenset({"PatientName"})
_UIDS: Final = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"})
_NUMBERS: Final = frozenset({"SeriesNumber", "InstanceNumber"})


@frozen
class Liberties:
    """
    What the standard leaves to an archive.

    @ivar unsupported: optional keys that are ignored and not returned (PS3.4 C.2.2.1.3).
    @ivar minds_case: names are matched by case, too (PS3.4 C.2.2.2.1, C.2.2.2.4).
    """

    unsupported: frozenset[str] = frozenset()
    minds_case: bool = False


NONE: Final = Liberties()


@frozen
class Query:
    """
    One C-FIND.

    @ivar keys: what is matched; the other attributes of the level are asked for.
    @ivar kind: how it is matched.
    """

    number: int
    level: str
    keys: Mapping[str, str]
    kind: str

    @property
    def model(self) -> str:
        """The SOP class that it is asked of."""
        return str(PATIENT_FIND if self.level == "PATIENT" else STUDY_FIND)

    @property
    def identifier(self) -> Dataset:
        """The data set of the request."""
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.QueryRetrieveLevel = self.level
        with warnings.catch_warnings():
            # A pattern is no value.
            warnings.simplefilter("ignore")
            for keyword in self.asked:
                setattr(ds, keyword, self.keys.get(keyword))
            for keyword, value in self.keys.items():
                setattr(ds, keyword, value)
        return ds

    @property
    def asked(self) -> tuple[str, ...]:
        """The attributes that answers have to have."""
        return (*LEVELS[self.level], *COUNTED[self.level])


def generated() -> list[Values]:
    """The values of all objects."""
    chance = Random(SEED)
    made = list(_objects(chance))
    chance.shuffle(made)
    return made


def _objects(chance: Random) -> Iterator[Values]:
    left = OBJECTS
    for number in range(PATIENTS):
        patient = {
            "PatientID": f"PAT{number:03}",
            "PatientName": f"{chance.choice(_FAMILIES)}^{chance.choice(_GIVEN)}",
            "PatientBirthDate": _date(chance, 1930, 2010),
            "PatientSex": chance.choice("FMO"),
        }
        # The last one takes what is left.
        share = left if number == PATIENTS - 1 else min(left, chance.randint(4, 21))
        left -= share
        studies = [_study(chance, number, index) for index in range(chance.randint(1, 4))]
        for index in range(share):
            study = chance.choice(studies)
            series = chance.randrange(3)
            modality = chance.choice(("CT", "MR", "PT")) if series == 0 else ("CT", "MR", "PT")[series]
            root = f"{study['StudyInstanceUID']}.{series}.{tuple(_KINDS).index(modality)}"
            yield {
                **patient,
                **study,
                "SeriesInstanceUID": root,
                "Modality": modality,
                "SeriesNumber": str(series * 10 + 1),
                "SeriesDescription": f"{modality} series {series}",
                "SOPInstanceUID": f"{root}.{index}",
                "SOPClassUID": str(_KINDS[modality]),
                "InstanceNumber": str(index),
            }


def _study(chance: Random, patient: int, index: int) -> Values:
    return {
        "StudyInstanceUID": f"2.999.4711.{patient}.{index}",
        "StudyDate": _date(chance, 2020, 2024),
        "StudyTime": chance.choice(_TIMES),
        "AccessionNumber": f"ACC{patient:02}-{index}",
        "StudyID": f"S{index}",
        "StudyDescription": chance.choice(_DESCRIPTIONS),
    }


def _date(chance: Random, first: int, last: int) -> str:
    return f"{chance.randint(first, last)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"


def written(objects: Sequence[Values], folder: Path) -> list[Sample]:
    """The objects as files; every other patient's in Latin-1, the others in UTF-8."""
    files = []
    for index, values in enumerate(objects):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(values["SOPClassUID"])
        meta.MediaStorageSOPInstanceUID = UID(values["SOPInstanceUID"])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = Dataset()
        ds.file_meta = meta
        ds.SpecificCharacterSet = "ISO_IR 100" if int(values["PatientID"][3:]) % 2 else "ISO_IR 192"
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        path = folder / f"{index:04}.dcm"
        ds.save_as(path, enforce_file_format=True)
        files.append(
            Sample(
                path,
                values["SOPClassUID"],
                values["SOPInstanceUID"],
                str(ExplicitVRLittleEndian),
                values["PatientID"],
                values["StudyInstanceUID"],
                values["SeriesInstanceUID"],
            )
        )
    return files


def queries(objects: Sequence[Values]) -> list[Query]:
    """Queries about them: most find something, for they are made of the values of one of them."""
    chance = Random(SEED + 1)
    return [_query(chance, number, chance.choice(objects)) for number in range(QUERIES)]


def _query(chance: Random, number: int, one: Values) -> Query:
    level = chance.choices(tuple(LEVELS), (3, 8, 3, 3))[0]
    keys: dict[str, str] = {}
    if level in ("SERIES", "IMAGE"):
        keys["StudyInstanceUID"] = one["StudyInstanceUID"]
    if level == "IMAGE":
        keys["SeriesInstanceUID"] = one["SeriesInstanceUID"]
    keyword = chance.choice(LEVELS[level])
    kind, value = chance.choice(list(_ways(chance, keyword, one)))
    if value:
        keys[keyword] = value
    if level == "STUDY" and chance.random() < 0.3:
        keys.setdefault("StudyDate", f"{one['StudyDate'][:4]}0101-{one['StudyDate'][:4]}1231")
    return Query(number, level, keys, f"{keyword}: {kind}")


def _ways(chance: Random, keyword: str, one: Values) -> Iterator[tuple[str, str]]:
    """Ways of matching an attribute, and the value of the key for each."""
    value = one["Modality"] if keyword == "ModalitiesInStudy" else one[keyword]
    yield "universal", ""
    yield "single value", value
    if keyword in _DATES:
        yield "range", f"{value[:6]}01-{value[:6]}28"
        yield "range without an end", f"{value}-"
        yield "range without a beginning", f"-{value}"
    elif keyword == "StudyTime":
        yield "range", "0800-1300"
        yield "range without an end", "1200-"
    elif keyword in _UIDS:
        yield "list of UIDs", f"{value}\\{value}.999"
    elif keyword not in _NUMBERS and value:
        yield "wildcard *", f"{value[:2]}*"
        yield "wildcard in the middle", f"*{value[2:4]}*"
        yield "wildcard ?", f"?{value[1:]}"
        yield "nothing of the kind", f"{value}x"
        if keyword in _NAMES:
            yield "the other case", value.swapcase()
            yield "family name", f"{value.partition('^')[0]}^*"
        else:
            yield "the other case", value.swapcase()


Answers = dict[str, dict[str, str]]
"""By unique key, what is answered: values by keyword."""


def expected(query: Query, objects: Sequence[Values], liberties: Liberties = NONE) -> Answers:
    """What it finds, and is told of that (PS3.4 C.2.2.2, C.4.1.3.1)."""
    keys = {keyword: key for keyword, key in query.keys.items() if keyword not in liberties.unsupported}
    unique = UNIQUE[query.level]
    below: dict[str, list[Values]] = {}
    modalities: dict[str, set[str]] = {}
    for one in objects:
        below.setdefault(one[unique], []).append(one)
        modalities.setdefault(one["StudyInstanceUID"], set()).add(one["Modality"])
    found: Answers = {}
    for value, those in below.items():
        one = those[0]
        of_study = modalities[one["StudyInstanceUID"]]
        if all(
            any(_matches(key, told, keyword, liberties) for told in of_study)
            if keyword == "ModalitiesInStudy"
            else _matches(key, one[keyword], keyword, liberties)
            for keyword, key in keys.items()
        ):
            told = {**one, "ModalitiesInStudy": "\\".join(sorted(of_study))}
            for keyword, counted in COUNTED[query.level].items():
                told[keyword] = str(len({each[counted] for each in those}))
            found[value] = {keyword: told[keyword] for keyword in query.asked if keyword not in liberties.unsupported}
    return found


def answered(query: Query, answers: Sequence[Dataset]) -> Answers:
    """What an archive told, in the same form; AssertionError where it told something twice."""
    told: Answers = {}
    for answer in answers:
        values = {keyword: _text(answer[keyword].value) for keyword in query.asked if keyword in answer}
        unique = values[UNIQUE[query.level]]
        if unique in told:
            raise AssertionError(f"query {query.number} is told twice of {unique}")
        told[unique] = values
    return told


def _text(value: object) -> str:
    if isinstance(value, MultiValue):
        return "\\".join(sorted(map(str, value)))
    return "" if value is None else str(value)


def _matches(key: str, value: str, keyword: str, liberties: Liberties) -> bool:
    if not key:
        return True
    if keyword in _UIDS:
        return value in key.split("\\")
    if keyword in _DATES:
        return _in_range(key, value, str)
    if keyword == "StudyTime":
        return _in_range(key, value, _in_full)
    if keyword in _NUMBERS:
        return int(key) == int(value)
    flags = re.IGNORECASE if keyword in _NAMES and not liberties.minds_case else 0
    pattern = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in key)
    return re.fullmatch(pattern, value, flags) is not None


def _in_range(key: str, value: str, order: Callable[[str], str]) -> bool:
    if not value:
        return False
    if "-" not in key:
        return order(key) == order(value)
    first, _, last = key.partition("-")
    return (not first or order(first) <= order(value)) and (not last or order(value) <= order(last))


def _in_full(value: str) -> str:
    """A time in full (PS3.5 6.2, TM): what is left out is zero."""
    whole, _, fraction = value.partition(".")
    return f"{whole:0<6}.{fraction:0<6}"
