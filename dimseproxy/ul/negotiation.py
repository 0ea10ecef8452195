"""
What one leg proposes and answers, given the other (PS3.8 7.1, PS3.7 Annex D).

The outbound is asked for the caller's presentation contexts under the caller's ids, and the caller is answered with
what came back.  Both legs then agree, so that bytes can cross as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from dimseproxy.ul.pdu import AnsweredContext, AssociateAccept, AssociateRequest, ContextResult, ProposedContext
from dimseproxy.ul.user_information import RoleSelection, UserInformation

#: What we call ourselves on both legs (PS3.7 D.3.3.2).
IMPLEMENTATION_CLASS_UID: Final = "2.25.172014886590241498467046391872460313857"
IMPLEMENTATION_VERSION_NAME: Final = "DIMSEPROXY_0_1"


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
    return AssociateRequest(called_ae_title, calling_ae_title, tuple(contexts), information)


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


def refuse(context: ProposedContext, result: ContextResult = ContextResult.USER_REJECTION) -> AnsweredContext:
    """The answer to a context that is not accepted; its transfer syntax means nothing (PS3.8 Table 9-18)."""
    return AnsweredContext(context.context_id, result, context.transfer_syntaxes[0])
