"""
Who a TLS peer is by its certificate.  An AE title alone is a claim; a certificate can be bound to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import crypto
from twisted.internet.interfaces import ISSLTransport

_FINGERPRINT: Final = "sha256:"


def peer_names(transport: object) -> frozenset[str]:
    """
    What the peer's certificate calls it, in lower case: DNS names, IP addresses, the common name, and the
    certificate's own `sha256:<hex>`. Empty without TLS or without a certificate.

    The names are as good as the authority that signed them: only ask about a verified peer.
    """
    if not ISSLTransport.providedBy(transport):
        return frozenset()
    presented = transport.getPeerCertificate()
    if not isinstance(presented, crypto.X509):
        return frozenset()
    certificate = presented.to_cryptography()
    names = {
        str(common_name.value) for common_name in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    }
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        pass  # None, or one that cannot be parsed: then it gives no names.
    else:
        names.update(alternatives.get_values_for_type(x509.DNSName))
        names.update(map(str, alternatives.get_values_for_type(x509.IPAddress)))
    # A name that looks like a fingerprint would let an authority's customer pose as another certificate.
    known = {name.lower() for name in names if not name.lower().startswith(_FINGERPRINT)}
    return frozenset(known | {_FINGERPRINT + certificate.fingerprint(hashes.SHA256()).hex()})


def carries_name(names: frozenset[str], wanted: Iterable[str]) -> bool:
    """
    Does a certificate carry one of these names?

    @param names: what `peer_names` gave.
    @param wanted: DNS names, IP addresses, common names or `sha256:` fingerprints.  Case does not matter, nor
        do colons in a fingerprint.
    """
    return not names.isdisjoint(map(_normal_name, wanted))


def _normal_name(name: str) -> str:
    name = name.strip().lower()
    if name.startswith(_FINGERPRINT):
        return _FINGERPRINT + name.removeprefix(_FINGERPRINT).replace(":", "")
    return name
