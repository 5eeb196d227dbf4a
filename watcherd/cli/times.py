"""What a person writes for a time → a time as the registry writes it."""

import time
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from watcherd.config import kinds
from watcherd.errors import UsageError
from watcherd.registry import iso


def start_of(text: str) -> str:
    """``1h`` ago, or a date or time (local unless it says otherwise). Raises UsageError."""
    with suppress(ValidationError):
        seconds = TypeAdapter(kinds.Duration).validate_python(text)
        return iso(time.time_ns() - int(seconds * 1e9))
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise UsageError(
            f"{text!r} is no time", hint="write 90m, 1h or 3d, or a time such as 2026-01-31T12:00"
        ) from None
    return iso(int(moment.timestamp() * 1e9))
