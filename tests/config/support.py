"""What the tests of the configuration share: a file's mistakes, and certificates that fit one another."""

from __future__ import annotations

import datetime
import functools
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from dimseproxy.config import ConfigurationError, Settings
from dimseproxy.config.load import parse

PACS = 'outbound: {pacs: {dimse: {connect: "tcp:127.0.0.1:4242", ae_title: ORTHANC}}}\n'
NOWHERE = Path("/nonexistent")


def settings_of(text: str, folder: Path = NOWHERE) -> Settings:
    """The settings of a file that has no mistakes."""
    return parse(text.encode(), folder)


def mistakes_of(text: str, folder: Path = NOWHERE) -> dict[str, str]:
    """The mistakes of a file, by path. Empty for a file without any."""
    try:
        parse(text.encode(), folder)
    except ConfigurationError as error:
        return {mistake.path: mistake.text for mistake in error.mistakes}
    return {}


def _self_signed(name: str, private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .sign(private, hashes.SHA256())
    )


@functools.cache
def _pair(name: str) -> tuple[bytes, bytes, bytes]:
    """A self-signed certificate, its key, and the key encrypted, all PEM."""
    private = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(name, private)
    form = (Encoding.PEM, PrivateFormat.PKCS8)
    return (
        certificate.public_bytes(Encoding.PEM),
        private.private_bytes(*form, NoEncryption()),
        private.private_bytes(*form, BestAvailableEncryption(b"secret")),
    )


def weak_certificate(folder: Path) -> bytes:
    """A certificate that OpenSSL refuses, for a key that is too short; the key is written as weak.key."""
    private = rsa.generate_private_key(65537, 1024)
    (folder / "weak.key").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return _self_signed("weak", private).public_bytes(Encoding.PEM)


def write_certificates(folder: Path) -> None:
    """Write `ca`, `server`, `client` as NAME.pem and NAME.key; the server's key encrypted as locked.key."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "server", "client"):
        certificate, key, locked = _pair(name)
        (folder / f"{name}.pem").write_bytes(certificate)
        (folder / f"{name}.key").write_bytes(key)
        if name == "server":
            (folder / "locked.key").write_bytes(locked)
