"""
Certificates for tests: made once per run, in a directory that goes away with the process.

    server = issue("server", dns=("localhost",))        # by the authority that every test trusts
    stranger = issue("stranger", issuer=other_authority())
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from attrs import frozen
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

_DAY = timedelta(days=1)


@frozen
class Identity:
    """
    A certificate and its private key, as files and as objects.

    @ivar certificate: PEM file; the intermediates of the chain follow the certificate itself.
    @ivar key: PEM file, unencrypted.
    """

    certificate: Path
    key: Path
    signed: x509.Certificate
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()


@cache
def directory() -> Path:
    path = Path(tempfile.mkdtemp(prefix="certificates-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def authority() -> Identity:
    """The authority that tests trust."""
    return issue("authority", is_authority=True, self_signed=True)


@cache
def other_authority() -> Identity:
    """An authority that nobody trusts."""
    return issue("other-authority", is_authority=True, self_signed=True)


@cache
def intermediate_authority() -> Identity:
    """An authority below the trusted one."""
    return issue("intermediate", is_authority=True)


@cache
def server() -> Identity:
    """A good server certificate for localhost and 127.0.0.1."""
    return issue("server", dns=("localhost",), ip=("127.0.0.1",))


@cache
def rsa_server() -> Identity:
    """The same with an RSA key, which every DICOM toolkit can use."""
    return issue("rsa-server", dns=("localhost",), ip=("127.0.0.1",), rsa_bits=2048)


@cache
def client() -> Identity:
    """A good client certificate."""
    return issue("client", dns=("modality.example",))


@cache
def expired() -> Identity:
    return issue("expired", dns=("localhost",), ip=("127.0.0.1",), valid_days=(-10, -1))


@cache
def not_yet_valid() -> Identity:
    return issue("not-yet-valid", dns=("localhost",), ip=("127.0.0.1",), valid_days=(1, 10))


@cache
def wrong_host() -> Identity:
    return issue("wrong-host", dns=("elsewhere.example",), ip=("192.0.2.1",))


@cache
def wrong_authority() -> Identity:
    return issue("wrong-authority", dns=("localhost",), ip=("127.0.0.1",), issuer=other_authority())


@cache
def self_signed() -> Identity:
    return issue("self-signed", dns=("localhost",), ip=("127.0.0.1",), self_signed=True)


@cache
def below_intermediate() -> Identity:
    return issue("below", dns=("localhost",), ip=("127.0.0.1",), issuer=intermediate_authority())


def encrypted_key(identity: Identity) -> Path:
    """The identity's key as a file that needs a pass phrase."""
    path = identity.key.with_suffix(".encrypted")
    path.write_bytes(
        identity.private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"not for a terminal")
        )
    )
    return path


def issue(
    name: str,
    *,
    dns: tuple[str, ...] = (),
    ip: tuple[str, ...] = (),
    valid_days: tuple[int, int] = (-1, 30),
    issuer: Identity | None = None,
    self_signed: bool = False,
    is_authority: bool = False,
    rsa_bits: int = 0,
) -> Identity:
    """
    Make a certificate.

    @param name: its common name, and the name of its files.
    @param valid_days: first and last day of validity, counted from today.
    @param issuer: who signs; the trusted authority unless told.
    @param rsa_bits: the size of an RSA key; without, the key is on the curve P-256, which is made faster.
    """
    private = (
        rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
        if rsa_bits
        else ec.generate_private_key(ec.SECP256R1())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = None if self_signed else issuer or authority()
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.signed.subject if signer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + valid_days[0] * _DAY)
        .not_valid_after(now + valid_days[1] * _DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    names: list[x509.GeneralName] = [x509.DNSName(each) for each in dns]
    names += [x509.IPAddress(ip_address(each)) for each in ip]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(signer.private if signer else private, hashes.SHA256())
    chain = (signer.signed, *signer.intermediates) if signer and signer.signed.issuer != signer.signed.subject else ()
    certificate_file, key_file = directory() / f"{name}.pem", directory() / f"{name}.key"
    certificate_file.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in (signed, *chain)))
    key_file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Identity(certificate_file, key_file, signed, private, chain)
