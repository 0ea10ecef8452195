"""Makes ``twistd dimseproxy`` known. Every twistd run loads this file, so it imports nothing of the proxy."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

dimseproxy = ServiceMaker(
    "dimseproxy",
    "dimseproxy.tap",
    "A DICOM proxy: an association in, an association out.",
    "dimseproxy",
)
