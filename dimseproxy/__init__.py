"""dimseproxy: a DICOM proxy that relays associations between callers and archives."""

__version__ = "0.1.0"
