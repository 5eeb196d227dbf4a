"""What is on disk, by an independent and simpler look than the program's own."""

import os
from pathlib import Path

JUNK = b"no HDF5"
TRUNCATED = 1000
"""Bytes that a test leaves of a model."""


def truth(root: Path) -> dict[str, str]:
    """Path -> what is there, by an independent and simpler look at the disk."""
    found: dict[str, str] = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        place = os.path.relpath(folder, root)
        for name in files:
            path = name if place == "." else f"{place}/{name}"
            if name.endswith(".h5"):
                content = Path(folder, name).read_bytes()
                found[path] = (
                    "unreadable" if content.startswith(JUNK)
                    else "incomplete" if len(content) == TRUNCATED
                    else "present"
                )  # fmt: skip
            elif name.endswith(".index"):
                found[path.removesuffix(".index")] = "present"
            elif ".data-" in name:
                found.setdefault(path.partition(".data-")[0], "incomplete")
    return found
