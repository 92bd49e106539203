"""Tokens: read from files, never given on a command line, never shown."""

from __future__ import annotations

import os
from pathlib import Path

from tvmsr.errors import InputFileError, UsageError

#: Where a token is taken from when no file is named.
VARIABLE = "TVMSR_TOKEN"

_SHORTEST, _LONGEST = 16, 512


def read_token(file: str | Path | None) -> str | None:
    """The token in a file (its first line), else the one in $TVMSR_TOKEN; None without either.

    Raises InputFileError where the file cannot be read, UsageError where it holds no token: 16 to 512 printable ASCII
    characters without blanks.
    """
    if file is None:
        return _checked(os.environ[VARIABLE], f"${VARIABLE}") if os.environ.get(VARIABLE) else None
    try:
        lines = Path(file).expanduser().read_text(encoding="ascii").split("\n")
    except (OSError, ValueError) as error:
        raise InputFileError(
            f"cannot read the token file {file}: {getattr(error, 'strerror', None) or 'no text'}"
        ) from None
    return _checked(lines[0].strip(), str(file))


def with_token(key: str, token: str | None) -> str:
    """What a client says to a server: its key, and behind it the token where there is one."""
    return f"{key}:{token}" if token else key


def _checked(token: str, where: str) -> str:
    if not (_SHORTEST <= len(token) <= _LONGEST and token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            f"{where} holds no token: {_SHORTEST} to {_LONGEST} letters and digits; "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe())'` makes one"
        )
    return token
