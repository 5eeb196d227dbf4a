"""Whether two architectures are one but for the names that Keras gave by itself.

Keras numbers its automatic names through the process (``lstm``, ``lstm_1``, ...), so a script that
trains the same model five times saves five configs. Retention works on trainings of one
architecture; which number its layers bear says nothing about it.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from watcherd.readers import canonical

_NUMBERED = re.compile(r"(?P<stem>.+?)(?:_[0-9]+)?")


def likeness(config: Any) -> str:
    """Hash of a ``model_config``, equal for those that differ in automatic names only."""
    names = {name: f"#{at}" for at, name in enumerate(dict.fromkeys(_automatic_names(config)))}
    told = canonical.dump(_renamed(config, names))
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _automatic_names(value: Any) -> Iterator[str]:
    """In the order of the layers."""
    if isinstance(value, list):
        for member in value:
            yield from _automatic_names(member)
    elif isinstance(value, dict):
        inner = value.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        for one in (name, value.get("name")):
            if isinstance(one, str) and _is_automatic(one, str(value.get("class_name"))):
                yield one
        for member in value.values():
            yield from _automatic_names(member)


def _is_automatic(name: str, class_name: str) -> bool:
    """``keras.src.utils.naming.auto_name``: the class's name in snake case, and a number."""
    found = _NUMBERED.fullmatch(name)
    stem = found["stem"].replace("_", "").lower() if found else ""
    if class_name == "InputLayer":
        return stem.startswith("input") or stem.endswith("input")
    return stem == class_name.rpartition(">")[2].lower()


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [_renamed(member, names) for member in value]
    if isinstance(value, dict):
        return {key: _renamed(member, names) for key, member in value.items()}
    return value
