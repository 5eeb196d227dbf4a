"""Times as the registry writes them: ISO-8601, UTC, milliseconds."""

from datetime import UTC, datetime


def iso(ns: int) -> str:
    """``2026-01-31T23:59:59.123Z`` of nanoseconds since the epoch.

    Years beyond 9999 or before 1 (a damaged mtime) are clamped.
    """
    seconds, rest = divmod(ns, 1_000_000_000)
    seconds = min(max(seconds, _FIRST), _LAST)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def ns_of(text: str) -> int:
    """Nanoseconds since the epoch of such a text."""
    moment = datetime.fromisoformat(text)
    since = moment - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    return seconds * 1_000_000_000 + since.microseconds * 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = -62_135_596_800
_LAST = 253_402_300_799
