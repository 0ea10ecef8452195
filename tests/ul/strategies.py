"""Hypothesis strategies for what peers may send, and the settings that all property tests share."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dimseproxy.errors import Rejection
from dimseproxy.ul.pdu import (
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Pdu,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
)
from dimseproxy.ul.user_information import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)

#: The time an example takes says nothing on a shared machine.
PROPERTY = settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)

uids = st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,6}){0,8}", fullmatch=True)
#: Any 1 to 16 bytes that do not begin or end with the padding.
ae_titles = (
    st.binary(min_size=1, max_size=16).map(lambda data: data.decode("latin-1")).filter(lambda t: t == t.strip(" "))
)
names = st.from_regex(r"[!-~]([ -~]{0,14}[!-~])?", fullmatch=True)
odd_ids = st.integers(0, 127).map(lambda number: 2 * number + 1)
maximum_lengths = st.just(0) | st.integers(16, 0xFFFFFFFF)

proposed_contexts = st.builds(ProposedContext, odd_ids, uids, st.lists(uids, min_size=1, max_size=4).map(tuple))
answered_contexts = st.builds(AnsweredContext, odd_ids, u8, uids)

user_informations = st.builds(
    UserInformation,
    maximum_length=maximum_lengths,
    implementation_class_uid=st.just("") | uids,
    implementation_version_name=st.just("") | names,
    asynchronous_operations_window=st.none() | st.builds(AsynchronousOperationsWindow, u16, u16),
    roles=st.lists(st.builds(RoleSelection, uids, st.booleans(), st.booleans()), max_size=4).map(tuple),
    extended_negotiations=st.lists(st.builds(ExtendedNegotiation, uids, st.binary(max_size=20)), max_size=3).map(tuple),
    common_extended_negotiations=st.lists(
        st.builds(CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple)), max_size=3
    ).map(tuple),
    user_identity=st.none()
    | st.builds(UserIdentity, u8, st.booleans(), st.binary(max_size=300), st.binary(max_size=30)),
    user_identity_answer=st.none() | st.binary(max_size=300),
)

requests = st.builds(
    AssociateRequest,
    ae_titles,
    ae_titles,
    st.lists(proposed_contexts, min_size=1, max_size=128, unique_by=lambda context: context.context_id).map(tuple),
    user_informations,
    uids,
    u16,
)
accepts = st.builds(
    AssociateAccept,
    ae_titles,
    ae_titles,
    st.lists(answered_contexts, max_size=128, unique_by=lambda context: context.context_id).map(tuple),
    user_informations,
    uids,
    u16,
)
pdus: st.SearchStrategy[Pdu] = st.one_of(
    requests,
    accepts,
    st.builds(AssociateReject, st.builds(Rejection, u8, u8, u8)),
    st.builds(ReleaseRequest),
    st.builds(ReleaseResponse),
    st.builds(Abort, u8, u8),
)


@st.composite
def chunkings(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes cut anywhere: byte by byte, at random, or not at all."""
    way = draw(st.sampled_from(("bytes", "cuts", "whole")))
    if way == "whole":
        return [data]
    if way == "bytes":
        return [data[index : index + 1] for index in range(len(data))]
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=20))})
    return [data[start:end] for start, end in pairwise(cuts)]
