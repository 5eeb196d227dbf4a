"""What a person writes for a time → a time as the registry writes it."""

import time
from contextlib import suppress
from datetime import UTC, datetime

from watcherd.config.values import seconds
from watcherd.errors import UsageError
from watcherd.registry.clock import iso


def start_of(text: str) -> str:
    """``1h`` ago, or a date or time (local unless it says otherwise). Raises UsageError."""
    with suppress(ValueError):
        return iso(time.time_ns() - int(seconds(text) * 1e9))
    try:
        return iso_of(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time", hint="write 90m, 1h or 3d, or a time such as 2026-01-31T12:00"
        ) from None


def iso_of(moment: datetime) -> str:
    """A moment (local unless it says otherwise) as the registry writes it."""
    return iso(int(moment.astimezone(UTC).timestamp() * 1e9))
