"""structlog, set up once: console on a terminal, JSON lines otherwise; on standard output.

Events are ``noun.verbed`` constants; keys that recur are spelled in ``Key``.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

DAEMON_STARTED = "daemon.started"
DAEMON_READY = "daemon.ready"
DAEMON_RELOADED = "daemon.reloaded"
DAEMON_STOPPING = "daemon.stopping"
DAEMON_STOPPED = "daemon.stopped"
WATCH_STARTED = "watch.started"
WATCH_OVERFLOW = "watch.overflow"
WATCH_DEGRADED = "watch.degraded"
WATCH_HEALED = "watch.healed"
WATCH_LOST = "watch.lost"
ROOT_SUSPENDED = "root.suspended"
ROOT_RESUMED = "root.resumed"
ROOT_ADOPTED = "root.adopted"
CYCLE_DONE = "cycle.done"
BLIND_FOUND = "blind.found"
BLIND_CLEARED = "blind.cleared"
MODEL_OVERWRITTEN = "model.overwritten"
MODEL_VERIFIED = "model.verified"
MODEL_UNVERIFIED = "model.unverified"
ENSEMBLE_JOINED = "ensemble.joined"
ENSEMBLE_LEFT = "ensemble.left"
ENSEMBLE_OUTDATED = "ensemble.outdated"
NOTE_REFUSED = "note.refused"
PRUNE_DECIDED = "prune.decided"
PRUNE_FORESEEN = "prune.foreseen"
PRUNE_TRASHED = "prune.trashed"
PRUNE_REFUSED = "prune.refused"
TRASH_PURGED = "trash.purged"
TRASH_RESTORED = "trash.restored"
REGISTRY_COPIED = "registry.copied"
REGISTRY_COMPACTED = "registry.compacted"
FAILURE_RAISED = "failure.raised"
FAILURE_ENDED = "failure.ended"

_MODEL_KEYS = ("model_id", "path", "interval", "ticker", "type", "format", "cause")
_ORDER = ("timestamp", "level", "event", *_MODEL_KEYS)


def configure(*, level: str = "info", format: str = "auto", stream: TextIO | None = None) -> None:
    """Set up structlog for this process.

    ``format``: ``console``, ``json``, or ``auto`` (console where the stream is a terminal).
    Lines are flushed one by one, so that ``tail -f`` and journald see them at once.
    """
    out = stream or sys.stdout
    on_terminal = format == "console" or (format == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *(_FOR_PEOPLE if on_terminal else _FOR_PROGRAMS),
            _make_printable,
            structlog.processors.format_exc_info,
            _console(out) if on_terminal else _json(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def get() -> structlog.typing.FilteringBoundLogger:
    """The program's logger."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def _console(out: TextIO) -> structlog.typing.Processor:
    return structlog.dev.ConsoleRenderer(
        colors=out.isatty() and "NO_COLOR" not in os.environ, sort_keys=False, pad_event_to=18
    )


def _json() -> structlog.typing.Processor:
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


def _leave_out(logger: object, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Without what says nothing: the placement of a model that has none, an empty reason."""
    return {key: value for key, value in event.items() if value is not None and value != ""}


_FOR_PEOPLE = (structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False), _leave_out)
_FOR_PROGRAMS = (structlog.processors.TimeStamper(fmt="iso", utc=True),)


def _make_printable(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    """Order the keys, and make names that are not UTF-8 (PEP 383 surrogates) writable."""
    ordered = {key: event[key] for key in _ORDER if key in event}
    ordered.update((key, value) for key, value in event.items() if key not in ordered)
    return {key: _encodable(value) for key, value in ordered.items()}


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
