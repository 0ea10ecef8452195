"""The TLS settings of a leg, as frozen values. How they are used is not said here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import field, frozen

from dimseproxy.config.certificates import CertificateFile, KeyFile, misfit
from dimseproxy.config.document import Node
from dimseproxy.config.kinds import Flag, Host, one_of
from dimseproxy.config.reading import Reading
from dimseproxy.config.shapes import Record, setting

Profile = Literal["bcp195", "bcp195-extended", "modified-bcp195"]
_PROFILE = one_of("bcp195", "bcp195-extended", "modified-bcp195")
_PROFILE_MEANS = "The TLS Secure Transport Connection Profile of PS3.15 Annex B."


@frozen(kw_only=True)
class ServerTLS:
    """TLS towards callers. The files are PEM; a relative path counts from the configuration's folder."""

    certificate: Path = field(
        metadata=setting(CertificateFile(), "The certificate, followed by its chain.", example="server.pem")
    )
    key: Path = field(
        metadata=setting(KeyFile(), "The private key of the certificate, unencrypted.", example="server.key")
    )
    client_ca: Path | None = field(
        default=None,
        metadata=setting(
            CertificateFile(),
            "Callers must show a certificate issued by one of these authorities (mutual TLS).",
            example="ca.pem",
            default="callers need no certificate",
        ),
    )
    profile: Profile = field(default="bcp195", metadata=setting(_PROFILE, _PROFILE_MEANS, example="bcp195"))


@frozen(kw_only=True)
class ClientTLS:
    """TLS towards a peer that is called. The files are PEM; relative paths as for callers."""

    ca: Path | None = field(
        default=None,
        metadata=setting(
            CertificateFile(),
            "The authorities that may have issued the peer's certificate.",
            example="ca.pem",
            default="those the system trusts",
        ),
    )
    certificate: Path | None = field(
        default=None,
        metadata=setting(
            CertificateFile(),
            "Our own certificate and its chain, for a peer that asks for one.",
            example="client.pem",
            default="none is shown",
        ),
    )
    key: Path | None = field(
        default=None,
        metadata=setting(
            KeyFile(), "The private key of `certificate`, unencrypted.", example="client.key", default="none"
        ),
    )
    verify_host: bool = field(
        default=True,
        metadata=setting(Flag(), "Whether the peer's certificate must carry the name that was called.", example="true"),
    )
    server_name: str | None = field(
        default=None,
        metadata=setting(
            Host(),
            "The name that the peer's certificate must carry, where it is not the host that is called.",
            example="pacs.example.org",
            default="the host that is called",
        ),
    )
    profile: Profile = field(default="bcp195", metadata=setting(_PROFILE, _PROFILE_MEANS, example="bcp195"))


def _check_server_tls(tls: ServerTLS, node: Node, reading: Reading) -> None:
    fault = misfit(tls.certificate, tls.key)
    if fault:
        reading.note(node.get("key") or node, fault)


def _check_client_tls(tls: ClientTLS, node: Node, reading: Reading) -> None:
    if tls.certificate is not None and tls.key is not None:
        fault = misfit(tls.certificate, tls.key)
        if fault:
            reading.note(node.get("key") or node, fault)
    elif tls.certificate is not None:
        reading.note(node, "has a `certificate` but no `key`: name the file with its private key")
    elif tls.key is not None:
        reading.note(node, "has a `key` but no `certificate`: name the certificate the key is for")


SERVER_TLS = Record(ServerTLS, "TLS settings", check=_check_server_tls)
CLIENT_TLS = Record(ClientTLS, "TLS settings", check=_check_client_tls)
