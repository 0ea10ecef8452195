"""Data sets, and what is to become of their elements, as Hypothesis draws them."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dimseproxy.dataset.rewriter import Treatment

#: A few of every kind: text, UIDs, numbers, bytes, of short and of long headers, in groups before and after the bulk.
_TEXTS: Final = {
    0x00080060: "CS",
    0x00100010: "PN",
    0x00100020: "LO",
    0x00104000: "LT",
    0x00081195: "UI",
    0x0040A160: "UT",
}
_BYTES: Final = {0x00420011: "OB", 0x00720000 | 0x6A: "OW", 0x60003000: "OW", 0xFFFCFFFC: "OB"}
_SEQUENCES: Final = (0x00081110, 0x00081115, 0x00400275, 0x0040A730)
TAGS: Final = (*_TEXTS, 0x00280010, *_BYTES, *_SEQUENCES)

_text = st.text("ABC 123_", max_size=16)
_uid = st.from_regex(r"[1-9][0-9]{0,3}(\.[1-9][0-9]{0,3}){0,6}", fullmatch=True) | st.just("")
_bytes = st.binary(max_size=6).map(lambda data: data + bytes(len(data) & 1))


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 3) -> Dataset:
    """A data set with items down to so many levels, of defined and of undefined length."""
    data_set = Dataset()
    for tag in sorted(draw(st.sets(st.sampled_from(TAGS if depth else TAGS[: -len(_SEQUENCES)]), max_size=6))):
        if tag in _TEXTS:
            data_set.add_new(tag, _TEXTS[tag], draw(_uid if _TEXTS[tag] == "UI" else _text))
        elif tag in _BYTES:
            data_set.add_new(tag, _BYTES[tag], draw(_bytes) * draw(st.sampled_from((*(1,) * 7, 12_000))))
        elif tag in _SEQUENCES:
            items = draw(st.lists(data_sets(depth - 1), max_size=3))
            for item in items:
                item.is_undefined_length_sequence_item = draw(st.booleans())
            data_set.add_new(tag, "SQ", Sequence(items))
            data_set[tag].is_undefined_length = draw(st.booleans())
        else:
            data_set.add_new(tag, "US", draw(st.integers(0, 65_535)))
    if not depth or draw(st.booleans()):
        block = data_set.private_block(0x0009, "ACME", create=True)
        block.add_new(0x01, "LO", draw(_text))
    return data_set


treatments = st.dictionaries(
    st.sampled_from((*TAGS, 0x00090010, 0x00091001)), st.sampled_from(tuple(Treatment)), max_size=12
)


def edited(data_set: Dataset, treatments: dict[int, Treatment], answer: str) -> Dataset:
    """
    What should come out: the model that the rewriter is held against, on decoded data sets.

    @param answer: what the value of each edited or swapped element becomes; a swapped sequence is empty.
    """
    out = Dataset()
    for element in data_set:
        treatment = treatments.get(int(element.tag), Treatment.KEEP)
        if element.VR == "SQ":
            if treatment is not Treatment.DROP:
                items = [] if treatment is Treatment.SWAP else element.value
                out.add_new(element.tag, "SQ", Sequence([edited(each, treatments, answer) for each in items]))
        elif treatment is Treatment.KEEP:
            out.add(element)
        elif treatment is not Treatment.DROP:
            is_binary = element.VR in ("OB", "OW")
            value = (
                answer.encode()
                if is_binary
                else int.from_bytes(answer.encode(), "little")
                if element.VR == "US"
                else answer
            )
            out.add_new(element.tag, element.VR, value)
    return out
