"""Times, sizes and schedules: how a person writes them, and the values they become.

Each reader raises ValueError, without words: the kind of the setting (``kinds``) has them.
"""

import re
from dataclasses import dataclass
from datetime import UTC
from typing import Annotated

from pydantic import ByteSize, ConfigDict, Field, TypeAdapter

_DURATION = re.compile(r"(?P<count>[0-9]{1,9}(?:\.[0-9]{1,9})?)(?P<unit>ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_SHARE = re.compile(r"(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,9})?)%")
_SIZE = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})? ?[A-Za-z]+")
"""A number with a unit, which ``ByteSize`` alone does not insist on."""
_WHEN_USED = ConfigDict(defer_build=True)
_BELOW_ONE: TypeAdapter[float] = TypeAdapter(Annotated[float, Field(le=1)], config=_WHEN_USED)
_BYTES = TypeAdapter(ByteSize, config=_WHEN_USED)

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""As cron counts them: 0 and 7 are Sunday."""
_DAYS_OF_WEEK = re.compile(r"(?P<first>[0-7])(?:-(?P<last>[0-7])(?:/(?P<step>[1-7]))?)?")


@dataclass(frozen=True, slots=True)
class Every:
    """A schedule: again after each so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule by the clock, in local time."""

    line: str
    """As APScheduler's ``CronTrigger.from_crontab`` reads it: weekdays are names."""


Timing = Every | Cron | None
"""None is off."""


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """An amount of free disk space: absolute, or a share of the file system."""

    size_bytes: int | None = None
    share: float | None = None
    """From 0 to 1."""

    def of(self, total_bytes: int) -> int:
        """The amount in bytes on a file system of this size."""
        if self.share is not None:
            return int(total_bytes * self.share)
        return self.size_bytes or 0


def seconds(text: object) -> float:
    """``15m`` → 900.0; a number alone is refused."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError
    return float(found["count"]) * _UNITS[found["unit"]]


def free_space(text: object) -> FreeSpace:
    """``50GB`` (10⁹), ``20GiB`` (2³⁰) or ``5%``; a number alone is refused."""
    if isinstance(text, str) and (found := _SHARE.fullmatch(text)):
        return FreeSpace(share=_BELOW_ONE.validate_python(float(found["percent"]) / 100))
    if isinstance(text, str) and _SIZE.fullmatch(text):
        return FreeSpace(size_bytes=int(_BYTES.validate_python(text)))
    raise ValueError


def timing(text: object) -> Timing:
    """``1h``, a cron line of five fields, or ``off``."""
    if text == "off":
        return None
    if isinstance(text, str) and len(text.split()) == 5:
        return _cron(text)
    period = seconds(text)
    if not period:
        raise ValueError
    return Every(period)


def _cron(text: str) -> Cron:
    # Only cron lines need it, and it costs 40 ms.
    from apscheduler.triggers.cron import CronTrigger

    *fields, weekdays = text.split()
    line = " ".join([*fields, ",".join(map(_weekday_names, weekdays.split(",")))])
    CronTrigger.from_crontab(line, UTC)  # any zone will do to see whether the line is right
    return Cron(line)


def _weekday_names(item: str) -> str:
    """Numbers of weekdays as names, because APScheduler 3 counts from Monday and cron from Sunday.

    What is no number stays as it is.
    """
    found = _DAYS_OF_WEEK.fullmatch(item.replace("*/", "0-6/"))
    if not found:
        return item
    first, last = int(found["first"]), int(found["last"] or found["first"])
    days = range(first, last + 1, int(found["step"] or 1))
    if not days:
        raise ValueError
    return ",".join(_WEEKDAYS[day % 7] for day in days)
