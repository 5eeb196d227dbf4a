"""The kinds of settings, and the words in which each is asked for.

Each kind ends in ``expecting(...)``: whatever is wrong with a value, the person reads one sentence
about what belongs there, and never a message of pydantic's.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator
from pydantic_core import PydanticCustomError, ValidationError

from watcherd.config.values import FreeSpace, Timing, free_space, seconds, timing
from watcherd.naming import Layout, Template


def fault(expected: str) -> PydanticCustomError:
    """An error of which the person reads only what was expected."""
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


def expecting(expected: str) -> WrapValidator:
    """Whatever the checks inside find wrong: this was expected."""

    def check(value: object, inner: Callable[[object], Any]) -> Any:
        try:
            return inner(value)
        except ValidationError:
            raise fault(expected) from None

    return WrapValidator(check)


def _none_for(word: str) -> BeforeValidator:
    return BeforeValidator(lambda text: None if text == word else text)


def _check_layout(text: str) -> str:
    try:
        Layout.compile(text)
    except ValueError as error:
        raise fault(f"folders such as {{interval}}/{{ticker}}/{{type}}, but {error}") from None
    return text


def _check_template(text: str) -> str:
    try:
        Template.compile(text)
    except ValueError as error:
        raise fault(f"a file name such as cp-{{epoch:04d}}.ckpt, but {error}") from None
    return text


def _listed(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, tuple):
        return value
    raise fault('a list, as in ["one", "two"]')


def _one_or_listed(value: object) -> object:
    if not value:
        raise fault("a layout of folders, or a list of layouts")
    return (value,) if isinstance(value, str) else _listed(value)


_duration = "a time with its unit, such as 500ms, 1s, 15m, 12h or 3d"

Duration = Annotated[float, BeforeValidator(seconds), expecting(_duration)]
"""Seconds, 0 or more."""
_MoreThanZero = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Period = Annotated[_MoreThanZero, expecting(f"{_duration}, longer than zero")]
"""Seconds, more than 0."""
PeriodOrNever = Annotated[
    _MoreThanZero | None, _none_for("never"), expecting(f'{_duration}, or "never"')
]
PeriodOrForever = Annotated[
    _MoreThanZero | None, _none_for("forever"), expecting(f'{_duration}, or "forever"')
]
PeriodOrOff = Annotated[_MoreThanZero | None, _none_for("off"), expecting(f'{_duration}, or "off"')]
Timetable = Annotated[
    Timing,
    BeforeValidator(timing),
    expecting('a time between runs such as 1h, a cron line such as "0 * * * *", or "off"'),
]
Free = Annotated[
    FreeSpace,
    BeforeValidator(free_space),
    expecting("a size with its unit such as 50GB or 20GiB, or a share of the disk such as 5%"),
]
Switch = Annotated[bool, expecting("true or false")]
Text = Annotated[str, expecting("text in quotes")]
Word = Annotated[str, Field(min_length=1), expecting("text in quotes, not empty")]
Words = Annotated[tuple[Word, ...], BeforeValidator(_listed)]
FileNames = Annotated[
    tuple[
        Annotated[str, Field(pattern=r"^[^/]+$"), expecting("a file's name, without its folder")],
        ...,
    ],
    BeforeValidator(_listed),
]
Layouts = Annotated[
    tuple[Annotated[Word, AfterValidator(_check_layout)], ...],
    BeforeValidator(_one_or_listed),
]
Templates = Annotated[
    tuple[Annotated[Word, AfterValidator(_check_template)], ...], BeforeValidator(_listed)
]
Objects = Annotated[
    tuple[
        Annotated[
            str, Field(pattern=r"^[\w.]+:\w+$"), expecting('"module:Name", as in "my.layers:Gate"')
        ],
        ...,
    ],
    BeforeValidator(_listed),
]
Count = Annotated[int, Field(ge=1), expecting("a whole number, 1 or more")]
CountOrZero = Annotated[int, Field(ge=0), expecting("a whole number, 0 or more")]
Share = Annotated[
    float, Field(ge=0, le=1, allow_inf_nan=False), expecting("a share from 0 to 1, such as 0.5")
]
Hours = Annotated[
    float, Field(gt=0, allow_inf_nan=False), expecting("a number of hours, more than 0")
]
Level = Annotated[
    Literal["debug", "info", "warning", "error"],
    expecting('"debug", "info", "warning" or "error"'),
]
