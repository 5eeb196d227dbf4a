"""Finds and reads the settings file: TOML → plain tables."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcherd.errors import Fault, SettingsError

SYSTEM_FILE = Path("/etc/watcherd/config.toml")
"""Read where no other file is named and this one exists."""

_POSITION = re.compile(
    r"(?P<what>.*) \((?P<where>at line (?P<line>[0-9]+), column [0-9]+|at end of document)\)"
)
"""How tomllib ends its messages (its errors have no numbers of their own before Python 3.14)."""


@dataclass(frozen=True, slots=True)
class File:
    """A settings file as read."""

    path: Path
    tables: Mapping[str, Any]


def find(config: Path | None, environ: Mapping[str, str], system_file: Path) -> File | None:
    """The settings file named, or else the system's, where there is one.

    Raises SettingsError for a file that is named but absent, that cannot be read, or is not TOML.
    """
    if config is not None:
        return _read(config, "--config")
    if named := environ.get("WATCHERD_CONFIG"):
        return _read(Path(named), "$WATCHERD_CONFIG")
    try:
        system_file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # it may be there: reading it says why nobody can tell
    return _read(system_file, "the system's settings")


def _read(path: Path, named_by: str) -> File:
    try:
        content = path.read_bytes()
    except OSError as error:
        expected = f"a file that can be read ({error.strerror})"
        raise SettingsError([Fault(named_by, str(path), expected)], str(path)) from None
    try:
        return File(path, tomllib.loads(content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        fault = _fault_at(content, content.count(b"\n", 0, error.start) + 1, "text in UTF-8")
    except (ValueError, RecursionError) as error:
        fault = _toml_fault(content, str(error))
    raise SettingsError([fault], str(path))


def _toml_fault(content: bytes, message: str) -> Fault:
    if not (found := _POSITION.fullmatch(message)):
        return Fault("the file", None, f"TOML: {message}")
    line = int(found["line"] or content.rstrip().count(b"\n") + 1)
    return _fault_at(content, line, f"TOML: {found['what']} {found['where']}")


def _fault_at(content: bytes, line: int, expected: str) -> Fault:
    text = content.split(b"\n")[line - 1].decode("utf-8", "replace").strip()
    return Fault(f"line {line}", text, expected)
