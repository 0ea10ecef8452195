"""
TLS settings of both legs: the profiles of PS3.15 Annex B, and OpenSSL contexts made from certificate files.

Everything here happens once, at the start: mistakes in files are found when a creator is made, not when the
first peer calls.  The handshake itself, with its deadline, is in `handshake.py`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
)
from zope.interface import implementer

from dimseproxy.errors import DimseProxyError


class TLSSettingsError(DimseProxyError):
    """TLS cannot be set up as configured; the text names the file or the setting."""


@frozen
class Profile:
    """
    A TLS Secure Transport Connection Profile of PS3.15 Annex B.  All of ours speak TLS 1.2 and 1.3 only.

    @ivar title: the name in the standard, for the conformance statement.
    @ivar suites: TLS 1.2 cipher suites by their OpenSSL names, preferred first.
    @ivar suites_1_3: TLS 1.3 cipher suites, preferred first.
    """

    title: str
    suites: tuple[str, ...]
    suites_1_3: tuple[str, ...]


# What RFC 9325 4.2 recommends: ephemeral elliptic curves and authenticated encryption.
_RECOMMENDED: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
_RECOMMENDED_1_3: Final = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        # PS3.15 B.12.
        "bcp195": Profile("BCP 195 RFC 8996, 9325 TLS", _RECOMMENDED, _RECOMMENDED_1_3),
        # PS3.15 B.11, retired but still what many devices claim.  A server that we call may choose its
        # finite-field suites; as a server we have no parameters for them and choose the others.
        "bcp195-extended": Profile(
            "Extended BCP 195 TLS",
            (*_RECOMMENDED, "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256"),
            _RECOMMENDED_1_3,
        ),
        # PS3.15 B.13 without what OpenSSL has not (Camellia with GCM) or holds too weak (8-octet CCM tags).
        "modified-bcp195": Profile(
            "Modified BCP 195 RFC 8996, 9325 TLS",
            (
                *_RECOMMENDED,
                "ECDHE-ECDSA-CHACHA20-POLY1305",
                "ECDHE-RSA-CHACHA20-POLY1305",
                "ECDHE-ECDSA-AES256-CCM",
                "ECDHE-ECDSA-AES128-CCM",
            ),
            (*_RECOMMENDED_1_3, "TLS_AES_128_CCM_SHA256"),
        ),
    }
)

# 112 bits: RSA and DHE of 2048 bits, curves of 224.  Said here because the library's default has changed.
_SECURITY_LEVEL: Final = "@SECLEVEL=2"

#: How much is joined before it is handed over, and one record more: about what one read of a socket brings.
RECORDS_AT_ONCE: Final = 104 * 1024

_Verdict = SSL.X509VerificationCodes
_UNKNOWN_ISSUER: Final = "certificate's issuer is not known here"
_CERTIFICATE_PROBLEMS: Final[Mapping[int, str]] = MappingProxyType(
    {
        _Verdict.ERR_CERT_NOT_YET_VALID: "certificate is not yet valid",
        _Verdict.ERR_CERT_HAS_EXPIRED: "certificate has expired",
        _Verdict.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "certificate is self-signed and not trusted here",
        _Verdict.ERR_SELF_SIGNED_CERT_IN_CHAIN: "certificate's authority is not trusted here",
        _Verdict.ERR_UNABLE_TO_GET_ISSUER_CERT: _UNKNOWN_ISSUER,
        _Verdict.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: _UNKNOWN_ISSUER,
        _Verdict.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: _UNKNOWN_ISSUER,
        _Verdict.ERR_INVALID_PURPOSE: "certificate is not meant for this side of TLS",
        _Verdict.ERR_CERT_SIGNATURE_FAILURE: "certificate's signature is wrong",
    }
)


class VerifiedConnection(SSL.Connection):
    """
    Remembers why the peer's certificate was refused, which the error that OpenSSL raises does not say, and hands over
    at once what came in several records.

    @ivar refusal: why the peer's certificate was refused.
    """

    refusal: str | None = None
    _error_after: SSL.Error | None = None

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        """
        What the records that are here hold, joined, and of each at most `bufsiz` bytes; with flags, one at a time.

        Peers write a PDU's header and its body as two records, and none is longer than 16 KiB (RFC 8446 5.1): by
        themselves each would go all the way through the relay, and out in a call of its own.

        @raise SSL.Error: there is nothing to read, or no more will come; what came before an error is given first.
        """
        if flags:
            return super().recv(bufsiz, flags)
        if self._error_after is not None:
            error, self._error_after = self._error_after, None
            raise error
        pieces = [super().recv(bufsiz)]
        length = len(pieces[0])
        while length < RECORDS_AT_ONCE:
            try:
                piece = super().recv(bufsiz)
            except SSL.Error as error:
                self._error_after = error
                break
            pieces.append(piece)
            length += len(piece)
        return b"".join(pieces)


@implementer(IOpenSSLServerConnectionCreator)
@frozen
class _ServerCreator:
    context: SSL.Context = field(repr=False)

    def serverConnectionForTLS(self, protocol: IProtocol) -> SSL.Connection:
        return VerifiedConnection(self.context)


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class _ClientCreator:
    context: SSL.Context = field(repr=False)
    server_name: bytes | None

    def clientConnectionForTLS(self, protocol: IProtocol) -> SSL.Connection:
        connection = VerifiedConnection(self.context)
        if self.server_name is not None:
            connection.set_tlsext_host_name(self.server_name)
        return connection


def server_creator(
    certificate: Path, key: Path, client_ca: Path | None, profile: str
) -> IOpenSSLServerConnectionCreator:
    """
    The TLS side of an inbound.

    @param certificate: PEM file, our certificate first, then its intermediates.
    @param key: PEM file with the certificate's unencrypted private key.
    @param client_ca: PEM file of the authorities that callers' certificates must come from: with it a caller
        without a valid certificate is refused (mutual TLS). None lets anybody in.
    @param profile: a key of `PROFILES`.
    @raise TLSSettingsError: a file cannot be read or used; the text names it.
    """
    context = _new_context(profile)
    _use_certificate(context, certificate, key)
    # OpenSSL refuses to resume a session in a context that verifies and has no id.
    context.set_session_id(sha256(certificate.read_bytes()).digest())
    if client_ca is None:
        context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    else:
        # A resumed session would not look at the caller's certificate again, however long ago it was valid.
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        for authority in _trust(context, client_ca):
            context.add_client_ca(authority)
        _verify(context, None)
    return _ServerCreator(context)


def client_creator(
    host: str, ca: Path | None, certificate: Path | None, key: Path | None, verify_host: bool, profile: str
) -> IOpenSSLClientConnectionCreator:
    """
    The TLS side of an outbound. The server's certificate chain is verified always.

    @param host: the DNS name or IP address that the server's certificate must carry as a subject alternative
        name (RFC 9525).  A DNS name is also sent as the server name indication.
    @param ca: PEM file of the authorities to trust; None is the system's.
    @param certificate: PEM file of our own certificate and its intermediates, where the server wants one.
    @param key: its private key; both or neither.
    @param verify_host: False accepts a trusted certificate of any name.
    @param profile: a key of `PROFILES`.
    @raise TLSSettingsError: a file cannot be read or used, or the host is no name; the text says which.
    """
    context = _new_context(profile)
    if certificate is not None and key is not None:
        _use_certificate(context, certificate, key)
    elif certificate is not None or key is not None:
        raise TLSSettingsError("a certificate and its key come together: one of them is missing")
    if ca is None:
        context.set_default_verify_paths()
    else:
        _trust(context, ca)
    identity, server_name = _identity(host)
    _verify(context, identity if verify_host else None)
    return _ClientCreator(context, server_name)


def _new_context(profile: str) -> SSL.Context:
    try:
        chosen = PROFILES[profile]
    except KeyError:
        raise TLSSettingsError(f"unknown TLS profile {profile!r}: one of {', '.join(PROFILES)}") from None
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    # Gives an idle association's 32 KiB of record buffers back.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(":".join((*chosen.suites, _SECURITY_LEVEL)).encode("ascii"))
    context.set_tls13_ciphersuites(":".join(chosen.suites_1_3).encode("ascii"))
    return context


def _use_certificate(context: SSL.Context, certificate: Path, key: Path) -> None:
    """
    Load a chain and its key, without OpenSSL's help: it would ask the terminal for a pass phrase.
    """
    own, *intermediates = _certificates(certificate)
    private = _private_key(key)
    if own.public_key() != private.public_key():
        raise TLSSettingsError(f"{key} is not the private key of the first certificate in {certificate}")
    try:
        context.use_certificate(own)
        context.use_privatekey(private)  # type: ignore[arg-type]
        for intermediate in intermediates:
            context.add_extra_chain_cert(intermediate)
    except (SSL.Error, TypeError) as error:
        raise TLSSettingsError(f"{certificate} cannot be used: {openssl_text(error)}") from error


def _trust(context: SSL.Context, authorities: Path) -> list[x509.Certificate]:
    store = context.get_cert_store()
    if store is None:  # pyOpenSSL's signature allows it; a context made by us has one.
        raise TLSSettingsError("this OpenSSL has no certificate store")
    # Whatever the file names is trusted, an intermediate authority too.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    trusted = _certificates(authorities)
    for authority in trusted:
        store.add_cert(crypto.X509.from_cryptography(authority))
    return trusted


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise TLSSettingsError(f"{path} has no usable PEM certificate") from error


def _private_key(path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(_read(path), None)
    except TypeError as error:
        raise TLSSettingsError(f"{path} is encrypted: the private key must not have a pass phrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TLSSettingsError(f"{path} has no usable PEM private key") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TLSSettingsError(f"{path} cannot be read: {error.strerror}") from error


def _identity(host: str) -> tuple[ServiceID, bytes | None]:
    """What the server's certificate must carry, and the server name to send: no address (RFC 6066 3)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return IPAddress_ID(host), None
    try:
        name = host.encode("idna")
        return DNS_ID(name.decode("ascii")), name
    except ValueError as error:
        raise TLSSettingsError(f"{host!r} is neither a host name nor an address") from error


def _verify(context: SSL.Context, identity: ServiceID | None) -> None:
    """Demand a valid certificate from the peer, and this identity in it."""

    def judge(connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, ok: int) -> bool:
        refusal = None if ok else _CERTIFICATE_PROBLEMS.get(code, f"certificate refused, OpenSSL code {code}")
        if refusal is None and depth == 0 and identity is not None:
            refusal = _wrong_identity(certificate, identity)
        if refusal is not None and isinstance(connection, VerifiedConnection):
            connection.refusal = refusal
        return refusal is None

    callback: Callable[[SSL.Connection, crypto.X509, int, int, int], bool] = judge
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, callback)


def _wrong_identity(certificate: crypto.X509, identity: ServiceID) -> str | None:
    try:
        verify_service_identity(extract_patterns(certificate), [identity], [])
    except (VerificationError, CertificateError):
        return "certificate is not for the host that was called"
    return None


def openssl_text(error: BaseException) -> str:
    """An OpenSSL error in its own words, without the list of tuples that pyOpenSSL makes of it."""
    queue = error.args[0] if error.args else None
    if isinstance(error, SSL.Error) and isinstance(queue, list) and queue:
        return str(queue[-1][2])
    return str(error)
