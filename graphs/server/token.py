"""The server's token: PODIUM_TOKEN, or one of its own, kept in a private file from the first start on."""

import os
import secrets
from pathlib import Path

from filelock import FileLock
from platformdirs import user_data_path

from agents.errors import ConfigurationError

NONE = "none"
"""The value of PODIUM_TOKEN with which the server asks for no token."""


def token_file() -> Path:
    """Return the file with the server's own token."""
    return user_data_path("podium") / "server-token"


def server_token() -> str | None:
    """Return the token that clients of this user's server, which was started before, send; None for no token."""
    if (chosen := _chosen()) is not None:
        return None if chosen == NONE else chosen
    if not (stored := _stored()):
        raise ConfigurationError("The server has no token yet: start the server once, or set PODIUM_TOKEN")
    return stored


def make_token() -> str | None:
    """Return the token that the server asks for, and store a new one if it has none; None for no token."""
    if _chosen() is None:
        file = token_file()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock"), mode=0o600):  # of servers that start at once, one writes it
            if not _stored():
                file.touch(mode=0o600)
                file.write_text(secrets.token_urlsafe(32), encoding="ascii")
    return server_token()


def _stored() -> str:
    """Return the token in the file; empty if it is missing, or if a server was killed while it wrote it."""
    try:
        return token_file().read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigurationError(f"The server's token cannot be read: {error}; set PODIUM_TOKEN instead") from error


def _chosen() -> str | None:
    token = os.environ.get("PODIUM_TOKEN")
    if token is not None and (not token.isascii() or not token.isprintable() or token.split() != [token]):
        raise ConfigurationError(
            "PODIUM_TOKEN must be ASCII text without spaces, and not empty; unset it for a token of the server's own,"
            " or set it to 'none' to let every program of this machine in"
        )
    return token
