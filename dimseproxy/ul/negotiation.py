"""
What one leg proposes and answers, given the other (PS3.8 7.1, PS3.7 Annex D).

The outbound is asked for the caller's presentation contexts under the caller's ids, and the caller is answered with
what came back.  Both legs then agree, so that bytes can cross as they are.

A modality asks for the same again and again: what was made of it lately is there already, unless it is long or carries
a user identity, which is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeVar

from attrs import evolve

from dimseproxy.ul.pdu import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    may_be_remembered,
)
from dimseproxy.ul.user_information import RoleSelection, UserInformation

_Associate = TypeVar("_Associate", AssociateRequest, AssociateAccept)

#: What we call ourselves on both legs (PS3.7 D.3.3.2).
IMPLEMENTATION_CLASS_UID: Final = "2.25.172014886590241498467046391872460313857"
IMPLEMENTATION_VERSION_NAME: Final = "DIMSEPROXY_0_1"
#: How many of each kind are there still.
_REMEMBERED: Final = 64


def outward_request(
    request: AssociateRequest,
    *,
    called_ae_title: str,
    calling_ae_title: str,
    contexts: Sequence[ProposedContext],
    with_user_identity: bool,
) -> AssociateRequest:
    """
    What the outbound is asked for.

    @param contexts: those of the caller's contexts that may cross, perhaps with another abstract syntax.
    @param with_user_identity: whether the caller's user identity crosses, too.
    """
    make = _outward_request_again if may_be_remembered(request) else _outward_request
    return make(request, called_ae_title, calling_ae_title, tuple(contexts), with_user_identity)


def _outward_request(
    request: AssociateRequest,
    called_ae_title: str,
    calling_ae_title: str,
    contexts: tuple[ProposedContext, ...],
    with_user_identity: bool,
) -> AssociateRequest:
    abstract_syntaxes = {context.abstract_syntax for context in contexts}
    information = request.user_information
    information = evolve(
        information,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        roles=tuple(role for role in information.roles if role.abstract_syntax in abstract_syntaxes),
        extended_negotiations=tuple(
            item for item in information.extended_negotiations if item.abstract_syntax in abstract_syntaxes
        ),
        common_extended_negotiations=tuple(
            item for item in information.common_extended_negotiations if item.abstract_syntax in abstract_syntaxes
        ),
        user_identity=information.user_identity if with_user_identity else None,
    )
    return AssociateRequest(called_ae_title, calling_ae_title, contexts, information)


_outward_request_again = lru_cache(_REMEMBERED)(_outward_request)


def own_request(
    contexts: Sequence[ProposedContext], roles: Sequence[RoleSelection], called_ae_title: str, calling_ae_title: str
) -> AssociateRequest:
    """What is asked for on our own account."""
    information = UserInformation(
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        roles=tuple(roles),
    )
    return AssociateRequest(called_ae_title, calling_ae_title, tuple(contexts), information)


def inward_accept(
    request: AssociateRequest, accept: AssociateAccept, own_answers: Sequence[AnsweredContext] = ()
) -> AssociateAccept:
    """
    What the caller is answered: each context as the outbound answered it, or as we did ourselves.

    @param request: the caller's.
    @param accept: the outbound's.
    @param own_answers: contexts that the outbound was not asked for.
    """
    make = _inward_accept_again if may_be_remembered(request) and may_be_remembered(accept) else _inward_accept
    return make(request, accept, tuple(own_answers))


def _inward_accept(
    request: AssociateRequest, accept: AssociateAccept, own_answers: tuple[AnsweredContext, ...]
) -> AssociateAccept:
    answers = {answer.context_id: answer for answer in (*accept.contexts, *own_answers)}
    contexts = tuple(answers.get(context.context_id) or refuse(context) for context in request.contexts)
    return AssociateAccept(
        request.called_ae_title,
        request.calling_ae_title,
        contexts,
        evolve(
            accept.user_information,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        ),
    )


_inward_accept_again = lru_cache(_REMEMBERED)(_inward_accept)


def announcing(pdu: _Associate, maximum_length: int) -> _Associate:
    """The same with another maximum length."""
    if pdu.user_information.maximum_length == maximum_length:
        return pdu
    make = _announcing_again if may_be_remembered(pdu) else _announcing
    return make(pdu, maximum_length)


def _announcing(pdu: _Associate, maximum_length: int) -> _Associate:
    return evolve(pdu, user_information=evolve(pdu.user_information, maximum_length=maximum_length))


_announcing_again = lru_cache(_REMEMBERED)(_announcing)


def refuse(context: ProposedContext, result: ContextResult = ContextResult.USER_REJECTION) -> AnsweredContext:
    """The answer to a context that is not accepted; its transfer syntax means nothing (PS3.8 Table 9-18)."""
    return AnsweredContext(context.context_id, result, context.transfer_syntaxes[0])
