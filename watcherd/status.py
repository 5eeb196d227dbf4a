"""The status file: what the daemon last said of itself, for ``status``.

It is in ``$RUNTIME_DIRECTORY``, where systemd makes one, else beside the registry. The lock that
the daemon holds beside the registry names the place.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

NAME = "daemon.json"
LOCK = "daemon.lock"

_RUN = Path("/run")
_OURS = "watcherd"
"""The runtime folder of our units, with a folder below it for each instance."""


def runtime_folder() -> Path | None:
    """Where systemd wants passing files of this process (systemd.exec(5)); the first of several."""
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(folder) if folder else None


def places(home: Path) -> Iterator[Path]:
    """Where a daemon may have left its status; ``home`` is where its registry is.

    A daemon whose registry went away with its root can be found only where units have their folder.
    """
    yield home
    if runtime := runtime_folder():
        yield runtime
    for run in {_RUN, Path(os.environ.get("XDG_RUNTIME_DIR") or _RUN)}:
        yield run / _OURS
        with suppress(OSError):
            yield from (run / _OURS).iterdir()


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
