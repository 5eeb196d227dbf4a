"""The step in a name, where the settings give no template: rather none than a wrong one.

A wrong step puts strangers into one family, and ``max_to_keep`` removes the older of a family; a
missing step only keeps too much. So a number counts as a step only where a word says so, or where
TensorFlow itself puts it, and numbers that are dates, Unix times or hyper-parameters never do.
"""

import re
from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple

from watcherd.artifact import Form
from watcherd.naming.marks import METRICS, Marks, Span

_LETTER = r"[^\W_]"
_NUMBER = rf"(?P<number>[0-9]+)(?!{_LETTER}|\.[0-9])"
_DECIMAL = r"-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?"
_METRIC = rf"val_[a-z0-9_]+?|{METRICS}"

_MEASURED = re.compile(
    rf"[-_](?:(?P<metric>{_METRIC})[-_=:]?)?(?P<value>{_DECIMAL})", re.IGNORECASE
)
_TAIL = re.compile(
    rf"(?P<measured>(?:[-_](?:(?:{_METRIC})[-_=:]?)?{_DECIMAL})*)(?:\.ckpt)?\Z", re.IGNORECASE
)
"""Metrics from the step to the end of the name; a bare decimal has no name to be recorded by."""

_COUNTED = re.compile(
    rf"(?<!{_LETTER})(?P<word>step|iteration|iter|epoch|ep)[-_.=]?{_NUMBER}", re.IGNORECASE
)
"""Words that say what the number counts: believed anywhere in a name."""

_SAVED = re.compile(
    rf"(?<!{_LETTER})(?:ckpt[-_.]?|(?:cp|checkpoint|weights|improvement)[-_.]){_NUMBER}",
    re.IGNORECASE,
)
"""Words that only say that something was saved: believed where the number ends the name."""

_TRAILING = re.compile(rf"-{_NUMBER}(?:\.ckpt)?\Z", re.IGNORECASE)
"""``P-N``: how tf.train.Checkpoint.save and Saver.save (``global_step=``) name what they write."""

_RANKS = {"step": 0, "iteration": 1, "iter": 1, "-": 2, "saved": 3, "epoch": 4, "ep": 4}
"""Where a name holds several counts, the finest is its step."""

_HYPER_PARAMETER = re.compile(
    rf"(?<!{_LETTER})(?:n|nb|num|max|min|time|multi|total|per|pred|forecast|lag)[-_. ]?\Z",
    re.IGNORECASE,
)
"""Before a counting word: ``time_step_60`` and ``max_epoch-50`` are no steps."""

_UNCOUNTED = re.compile(
    rf"(?<!{_LETTER})(?:v|version|fold|seed|run|trial|exp|experiment|part|split|member"
    r"|units?|layers?|hidden|dim|heads?|batch|batch_?size|bs|window|lookback|horizon|lag|k|n)\Z"
    r"|[0-9]\.?e\Z"
    r"|(?<![0-9])(?:199[0-9]|20[0-3][0-9])(?:[-_.:T ]?[0-9]{2})*\Z",
    re.IGNORECASE,
)
"""Before ``-N``: words that number other things, ``1e-05``, and years or dates, after which a
number is a month, a day or a time."""

_DATE = re.compile(r"(?:199[0-9]|20[0-3][0-9])(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")

_UNIX_TIME_DIGITS = 10
"""Seconds since 1970 have had ten digits since 2001."""


class _Count(NamedTuple):
    span: Span
    value: int
    rank: int


def marks_in(name: str, form: Form) -> Marks:
    """The marks in the name of an artifact, by the words around its numbers.

    ``name`` is without the format's suffix; the last path component of a checkpoint prefix is
    taken as it is.
    """
    counts = sorted({count.span: count for count in _counts(name, form)}.values())
    if not counts:
        return Marks()
    step = min(counts, key=lambda count: (count.rank, count.span)).value
    measured = list(_measured(name, counts[-1].span[1]))
    spans = [count.span for count in counts] + [found.span("value") for found in measured]
    metrics = {m["metric"]: float(m["value"]) for m in measured if m["metric"]}
    finite = {metric: value for metric, value in metrics.items() if isfinite(value)}
    return Marks(tuple(spans), step, finite)


def _counts(name: str, form: Form) -> Iterator[_Count]:
    """Every number that counts; where the name's end and a word find the same, the word is last."""
    worded = list(_worded(name))
    if form is Form.CHECKPOINT and (found := _TRAILING.search(name)):
        # What another count spells, a year perhaps, is no reason against this one.
        after = max((count.span[1] for count in worded), default=0)
        if not _UNCOUNTED.search(name, after, found.start()):
            yield from _counted(found, "-")
    yield from worded


def _worded(name: str) -> Iterator[_Count]:
    for found in _SAVED.finditer(name):
        if _TAIL.match(name, found.end()):
            yield from _counted(found, "saved")
    for found in _COUNTED.finditer(name):
        if not _HYPER_PARAMETER.search(name, 0, found.start()):
            yield from _counted(found, found["word"].lower())


def _counted(found: re.Match[str], word: str) -> Iterator[_Count]:
    digits = found["number"].lstrip("0") or "0"
    if len(digits) < _UNIX_TIME_DIGITS and not _DATE.fullmatch(digits):
        yield _Count(found.span("number"), int(digits), _RANKS[word])


def _measured(name: str, end: int) -> Iterator[re.Match[str]]:
    tail = _TAIL.match(name, end)
    return _MEASURED.finditer(name, *tail.span("measured")) if tail else iter(())
