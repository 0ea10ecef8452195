"""The secrets that a configuration names: read from a file or the environment when they are needed."""

from __future__ import annotations

import os
from pathlib import Path

from dimseproxy.config import Secret
from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.keys import Keys, keys_from_environment, keys_from_file


def keys_of(secret: Secret) -> Keys:
    """
    The keys in a secret.

    @raise SourceRefused: there is none that could be used.
    """
    if secret.environment is not None:
        return keys_from_environment(secret.environment, os.environ)
    return keys_from_file(secret.file or Path())


def text_of(secret: Secret) -> str:
    """
    A password.

    @raise SourceRefused: it cannot be read any longer.
    """
    if secret.environment is not None:
        return os.environ.get(secret.environment, "").strip()
    path = secret.file or Path()
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SourceRefused(f"the secret in {path} cannot be read") from None
