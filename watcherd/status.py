"""The status file beside the registry: what the daemon last said of itself, for ``status``."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

NAME = "daemon.json"
LOCK = "daemon.lock"


def write(path: Path, status: dict[str, Any]) -> None:
    """Write it whole or not at all; it may be lost in a power cut, as it is written again.

    A full disk is no reason to fail: the status is then old.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        draft.write_text(json.dumps(status, indent=2, default=str), encoding="utf-8")
        draft.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """What the daemon last wrote; None where there is nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
