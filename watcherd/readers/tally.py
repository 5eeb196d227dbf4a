"""Counting a model's weights: how many numbers they are, and of which dtype most."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

INT64 = (1 << 63) - 1
"""The largest number a database can hold."""


class Tally(NamedTuple):
    """What a model's weights come to."""

    parameters: int | None
    """Elements of all of them; None where damage makes them more than can be."""
    variables: int
    dtype: str | None
    """The one of most elements, floats first: a table of token ids is no model's dtype."""


def steps(number: float | None) -> int | None:
    """A count of training steps; None for what can be none. Keras 2.0 counted in float32."""
    return int(number) if number is not None and 0 <= number <= INT64 else None


def tally(weights: Iterable[tuple[str, int]]) -> Tally:
    """The tally of weights given as (dtype, elements)."""
    elements = Counter[str]()
    variables = 0
    for dtype, size in weights:
        elements[dtype] += size
        variables += 1
    ranked = sorted(elements, key=lambda name: ("float" not in name, -elements[name], name))
    total = elements.total()
    return Tally(total if total <= INT64 else None, variables, ranked[0] if ranked else None)
