"""A model's layers as ``Model.summary(expand_nested=True)`` tells them, from its config alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from watcherd.readers import canonical
from watcherd.readers.layer_shapes import Shape
from watcherd.readers.layer_weights import parameters
from watcherd.readers.shapes import config_of, layers_of, name_of, walk

DEEPEST = 20
"""Models in models that are told; deeper ones are what no person builds."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of the summary."""

    name: str
    class_name: str
    output_shape: Shape | None
    """None where the config does not tell it."""
    parameters: int | None
    """Numbers in its weights; None where the config does not tell them."""
    depth: int
    """0 at the top, 1 in a model that is a layer, ..."""


def layers(config: str) -> tuple[Layer, ...]:
    """The layers of a ``model_config``, JSON as Keras 1 to 3 write it. Nothing of it is executed.

    Empty for a text of another form, and where it nests too deeply.
    """
    try:
        return tuple(_layers(canonical.parse(config), None, 0))
    except (ValueError, RecursionError):
        return ()


def _layers(model: Any, given: Shape | None, depth: int) -> Iterator[Layer]:
    if depth > DEEPEST:
        return
    for layer, taken, shape in walk(model, given):
        class_name = str(layer.get("class_name") or "")
        inner = tuple(_layers(layer, taken[0], depth + 1)) if layers_of(layer) else ()
        own = _sum(inner, depth + 1) if inner else parameters(class_name, config_of(layer), taken)
        yield Layer(name_of(layer), class_name.rpartition(">")[2], shape, own, depth)
        yield from inner


def _sum(inner: tuple[Layer, ...], depth: int) -> int | None:
    known = [layer.parameters for layer in inner if layer.depth == depth]
    told = [count for count in known if count is not None]
    return sum(told) if len(told) == len(known) else None
