"""Certificate and key files: readable, of the right kind, and fitting each other."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from dimseproxy.config.document import Node
from dimseproxy.config.kinds import FilePath, Text
from dimseproxy.config.reading import Reading

_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


@frozen
class CertificateFile(FilePath):
    """A PEM file with one or more certificates: a chain from the first, or a collection of authorities."""

    label: str = "a PEM file"

    def fault_of(self, content: bytes) -> str | None:
        try:
            x509.load_pem_x509_certificates(content)
        except ValueError:
            return "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
        return None


@frozen
class KeyFile(FilePath):
    """A PEM file with an unencrypted private key."""

    label: str = "a PEM file"

    def fault_of(self, content: bytes) -> str | None:
        try:
            _key_of(content)
        except TypeError:
            return "holds an encrypted key: a service starts without a passphrase, write the key unencrypted"
        except (ValueError, UnsupportedAlgorithm):
            return "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        return None


@frozen
class CertificateIdentity(Text):
    """A DNS name or common name in a certificate, or `sha256:` and the certificate's fingerprint."""

    label: str = "a name or `sha256:` fingerprint"

    def check(self, node: Node, reading: Reading) -> str:
        scheme, colon, rest = node.text.partition(":")
        if not colon or scheme.lower() != "sha256":
            return node.text
        digits = rest.replace(":", "").lower()
        if not _FINGERPRINT.match(digits):
            reading.refuse(
                node,
                "is no SHA-256 fingerprint: write `sha256:` and 64 hexadecimal digits, as in "
                "`openssl x509 -noout -fingerprint -sha256 -in FILE`",
            )
        return f"sha256:{digits}"


def misfit(certificate: Path, key: Path) -> str | None:
    """Why a key file cannot serve a certificate file, or None. Both were read as PEM before."""
    try:
        first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        same = _public(first.public_key()) == _public(_key_of(key.read_bytes()).public_key())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"cannot be compared with the certificate: {error}"
    if same:
        return None
    return f"`{key}` is not the key of the first certificate in `{certificate}`"


def _key_of(content: bytes) -> PrivateKeyTypes:
    return load_pem_private_key(content, password=None)


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
