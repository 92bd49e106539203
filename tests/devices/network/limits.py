"""Seconds that things may take."""

from __future__ import annotations

#: The issue's limit for the next client.
NEXT = 5.0

#: Of keepalive and TCP_USER_TIMEOUT, on both sides.
LOST = 15.0

#: What a busy machine adds to a limit.
SPARE = 5.0
