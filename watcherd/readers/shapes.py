"""Input and output shapes, as far as a Keras config tells them without building the model.

A layer whose effect ``layer_shapes`` does not know makes the shape unknown, until one that tells it
anew.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from watcherd.readers import canonical
from watcherd.readers.layer_shapes import Config, Shape, after

_DIMENSIONS = 32
"""A longer list is no shape; NumPy allows 64, no layer of Keras more than 6."""


def as_json(shapes: list[Shape] | None) -> str | None:
    """One shape as a JSON list, several as a list of lists; None where they are not known."""
    if not shapes:
        return None
    return canonical.dump(shapes[0] if len(shapes) == 1 else shapes)


def inputs(model: Any) -> list[Shape] | None:
    """The shapes of a model's inputs; None unless all of them are told."""
    layers, config = layers_of(model), config_of(model)
    by_name = {name_of(layer): layer for layer in layers}
    ends = _ends(config.get("input_layers"))
    if ends and all(end in by_name for end in ends):
        return _all(_declared(config_of(by_name[end])) for end in ends)
    first = layers[0] if layers else {}
    return (
        _all([_declared(config_of(first))])
        or (inputs(first) if layers_of(first) else None)
        or _all([_built(model)])
    )


def outputs(model: Any, given: Shape | None = None) -> list[Shape] | None:
    """The shapes of a model's outputs for an input shape; None unless all can be told."""
    told = list(walk(model, given))
    ends = _ends(config_of(model).get("output_layers"))
    if not ends:
        return _all(shape for *_, shape in told[-1:])
    known = {name_of(layer): shape for layer, _, shape in told}
    return _all(known.get(end) for end in ends)


def walk(
    model: Any, given: Shape | None = None
) -> Iterator[tuple[Config, list[Shape | None], Shape | None]]:
    """A model's top-level layers in their order, each with its input shapes and its output shape.

    ``given`` is the model's own input shape, where its config does not tell it.
    """
    known: dict[str, Shape | None] = {}
    shape = given or _built(model)
    for layer in layers_of(model):
        taken = _inputs(layer, known, shape)
        shape = _output(layer, taken)
        known[name_of(layer)] = shape
        yield layer, taken, shape


def layers_of(model: Any) -> list[Config]:
    """The top-level layers of a model's config; Keras 1 and 2.0 stored a bare list of them."""
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else config
    return [each for each in layers if isinstance(each, dict)] if isinstance(layers, list) else []


def config_of(layer: Any) -> Config:
    config = layer.get("config") if isinstance(layer, dict) else None
    return config if isinstance(config, dict) else {}


def _inputs(
    layer: Config, known: dict[str, Shape | None], before: Shape | None
) -> list[Shape | None]:
    """A layer's input shapes: of the layers it names, or of the one before it."""
    given = [stated or known.get(name) for name, stated in _sources(layer)]
    return given or [before or _declared(config_of(layer)) or _built(layer)]


def _output(layer: Config, given: list[Shape | None]) -> Shape | None:
    """A layer's output shape for its input shapes."""
    if layer.get("class_name") == "InputLayer":
        return _declared(config_of(layer))
    if layers_of(layer):
        told = outputs(layer, given[0])
        return told[0] if told and len(told) == 1 else None
    return _shape(after(str(layer.get("class_name")), config_of(layer), given))


def _all(shapes: Iterable[Shape | None]) -> list[Shape] | None:
    """The shapes, if all are told and there are any."""
    every = list(shapes)
    told = [shape for shape in every if shape is not None]
    return told if told and len(told) == len(every) else None


def name_of(layer: Config) -> str:
    """A layer's name; Keras 1 and 2.0 stored it in its config alone."""
    return str(layer.get("name") or config_of(layer).get("name"))


def _shape(value: Any) -> Shape | None:
    """The value, if it is a shape."""
    if not isinstance(value, list) or not 0 < len(value) <= _DIMENSIONS:
        return None
    numbers = (number for number in value if number is not None)
    return value if all(type(number) is int and number >= 0 for number in numbers) else None


def _declared(config: Config) -> Shape | None:
    """The input shape in a layer's own config (Keras 1 and 2, then 3)."""
    return _shape(config.get("batch_input_shape")) or _shape(config.get("batch_shape"))


def _built(model: Any) -> Shape | None:
    """The input shape that a model, or a layer of Keras 3, was built with."""
    for holder in (config_of(model), model if isinstance(model, dict) else {}):
        built = holder.get("build_config")
        stated = built.get("input_shape") if isinstance(built, dict) else None
        shape = _shape(holder.get("build_input_shape")) or _shape(stated)
        if shape:
            return shape
    return None


def _ends(value: Any) -> list[str]:
    """The layers that ``input_layers`` or ``output_layers`` names.

    One ``[name, node, tensor]``, or several in lists or by key; "" for any but a layer's first
    tensor. Which of its uses it is does not matter: what several give is not told by ``walk``, and
    a model's first use has the number 1.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return []
    if value and isinstance(value[0], str):
        return [value[0] if value[2:3] == [0] else ""]
    return [end for member in value for end in _ends(member)]


def _sources(layer: Config) -> list[tuple[str, Shape | None]]:
    """The layers a functional model's layer comes after, with shapes where Keras 3 tells them."""
    nodes = layer.get("inbound_nodes")
    if not isinstance(nodes, list) or not nodes:
        return []
    if len(nodes) > 1:  # a shared layer: each use may have another shape
        return [("", None)]
    if isinstance(nodes[0], dict):
        return list(_tensors(nodes[0].get("args"))) or _named(nodes[0].get("kwargs"))
    node = nodes[0] if isinstance(nodes[0], list) else []
    tensors = [node] if node and isinstance(node[0], str) else node
    return [(str(each[0]), None) for each in tensors if isinstance(each, list) and each]


def _named(arguments: Any) -> list[tuple[str, Shape | None]]:
    """The tensor that a layer was given by name; of several, nobody knows which comes first."""
    named = arguments.values() if isinstance(arguments, dict) else ()
    found = list(_tensors(list(named)))
    return found if len(found) < 2 else [("", None)]


def _tensors(value: Any) -> Iterator[tuple[str, Shape | None]]:
    """The tensors among the arguments of a Keras 3 layer."""
    if isinstance(value, list):
        for member in value:
            yield from _tensors(member)
    elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        history = config_of(value).get("keras_history")
        name = history[0] if isinstance(history, list) and history else ""
        yield str(name), _shape(config_of(value).get("shape"))
