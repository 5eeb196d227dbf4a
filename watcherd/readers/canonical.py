"""One spelling for equal JSON: sorted keys, no spaces, finite numbers, float32 where asked for.

Keras writes its configs through Python's ``json``, which also writes and reads ``NaN`` and
``Infinity``. SQLite's JSON functions and most other readers refuse those, so they become null here.
"""

import json
import math
import struct
from functools import lru_cache
from typing import Any

_FLOAT32 = struct.Struct("<f")
_DIGITS = range(1, 10)
"""Significant decimal digits: 9 are enough for any float32 (FLT_DECIMAL_DIG of C)."""


def parse(text: str) -> Any:
    """The value of a JSON text; ValueError where it is none, RecursionError where it is too deep.

    Numbers that are not finite, also those too large for a float, become None.
    """
    return json.loads(text, parse_float=_finite, parse_constant=_finite)


def dump(value: Any) -> str:
    """Canonical JSON in ASCII, so that lone surrogates survive every database driver."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def rounded(value: Any) -> Any:
    """The same JSON value with every float rounded by ``float32``; None for what is not finite."""
    if isinstance(value, float):
        return float32(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [rounded(member) for member in value]
    return value


@lru_cache(maxsize=1024)
def float32(value: float) -> float:
    """The shortest decimal with the same float32 image: 0.0010000000474974513 gives 0.001.

    What float32 can't hold (too large, or so small that it would become zero) stays as it is.
    """
    image = _image(value)
    nearest = _FLOAT32.unpack(image)[0] if image else 0.0
    if nearest == 0.0:
        return value + 0.0  # one zero, not two
    candidates = (float(f"{nearest:.{digits}g}") for digits in _DIGITS)
    return next((short for short in candidates if _image(short) == image), value)


def _image(value: float) -> bytes | None:
    """Its four bytes as a float32; None beyond the largest one."""
    try:
        return _FLOAT32.pack(value)
    except OverflowError:
        return None


def text(value: Any) -> str | None:
    """A string that any database can hold, from a str or bytes; None for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return None


def _finite(token: str) -> float | None:
    value = float(token)
    return value if math.isfinite(value) else None
