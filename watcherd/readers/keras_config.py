"""What a Keras config tells: the JSON that Keras 1 to 3 store beside a model's weights.

Pure, and blind to what it does not know: a config of an unexpected form leaves fields unknown.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from watcherd.plan import Description, Optimizer
from watcherd.readers import canonical, optimizers, shapes
from watcherd.readers.keras_names import FUNCTIONS, LAYERS, OPERATIONS
from watcherd.readers.likeness import likeness
from watcherd.readers.source import Unreadable

_REMEMBERED = 1 << 20
"""Characters up to which a config is remembered; real ones have at most 85 thousand."""
_LAYERS = frozenset(
    {"layers", "layer", "forward_layer", "backward_layer", "cell", "cells", "attention_layer"}
)
"""Keys under which a config nests layers."""
_COMPILED = ("loss", "metrics", "weighted_metrics")
"""Keys of a training config that hold objects."""
_KERAS = frozenset({"keras", "tf_keras", "builtins", "tensorflow"})
"""Modules, by their first name, whose classes Keras finds by itself."""


def describe(model: str, training: str | None) -> Description:
    """What ``model_config`` and ``training_config``, two JSON texts, tell.

    Raises Unreadable for a text that is no JSON, RecursionError for one that nests too deeply.
    """
    return (_remembered if len(model) <= _REMEMBERED else _describe)(model, training)


def _describe(model: str, training: str | None) -> Description:
    config = _parsed(model, "model_config")
    trained = None if training is None else _parsed(training, "training_config")
    optimizer = optimizers.from_training(trained)
    layers = shapes.layers_of(config)
    return Description(
        class_name=canonical.text(_member(config, "class_name")),
        depth=len(layers) or None,
        input_shape=shapes.as_json(shapes.inputs(config)),
        output_shape=shapes.as_json(shapes.outputs(config)),
        loss=_loss(_member(trained, "loss")),
        metrics=_metrics(trained),
        custom_objects=_custom_objects(config, trained, optimizer),
        optimizer=optimizer,
        architecture=canonical.dump(config),
        likeness=likeness(config),
    )


_remembered = lru_cache(maxsize=256)(_describe)
"""Models trained in a row have equal configs, and parsing them is most of the work."""


def _parsed(text: str, name: str) -> Any:
    try:
        return canonical.parse(text)
    except ValueError as error:
        raise Unreadable(f"its {name} is no JSON: {error}") from error


def _member(config: Any, key: str) -> Any:
    return config.get(key) if isinstance(config, dict) else None


def _loss(stored: Any) -> str | None:
    """The loss's name; for several outputs the JSON of their losses' names."""
    named = _named(stored)
    return named if named is None or isinstance(named, str) else canonical.dump(named)


def _named(stored: Any) -> Any:
    """The same structure with each serialized object replaced by its name."""
    if isinstance(stored, list):
        return [_named(each) for each in stored]
    if isinstance(stored, dict) and "class_name" not in stored:
        return {key: _named(each) for key, each in stored.items()}
    return _object_name(stored) if isinstance(stored, dict) else canonical.text(stored)


def _object_name(stored: dict[str, Any]) -> str | None:
    """A serialized function's name, or a class's without its package."""
    config = stored.get("config")
    if isinstance(config, str):
        return canonical.text(config)
    name = canonical.text(stored["class_name"])
    return name.rpartition(">")[2] if name else None


def _metrics(trained: Any) -> str | None:
    """The metrics' names as a JSON list, each once, in order; None where none were stored."""
    stored = [_member(trained, key) for key in ("metrics", "weighted_metrics")]
    if stored == [None, None]:
        return None
    return canonical.dump(list(dict.fromkeys(name for each in stored for name in _flat(each))))


def _flat(stored: Any) -> Iterator[str]:
    """The names in whatever lists Keras put metrics into; an object's own name before its class."""
    if isinstance(stored, list):
        for each in stored:
            yield from _flat(each)
    elif isinstance(stored, dict) and "class_name" not in stored:
        yield from _flat(list(stored.values()))
    else:
        own = _member(_member(stored, "config"), "name")
        name = canonical.text(own) or _named(stored)
        if name:
            yield name


def _custom_objects(config: Any, trained: Any, optimizer: Optimizer | None) -> str:
    """What Keras cannot find by itself, of the model and of what it was compiled with."""
    names = {*_unknown(config, is_layer=True)}
    for key in _COMPILED:
        names.update(_unknown(_member(trained, key), is_layer=False))
    if optimizer:
        schedule = canonical.parse(optimizer.config).get("learning_rate")
        names.update(_unknown(schedule, is_layer=False))
        if optimizers.known_type(optimizer.optimizer_type) is None:
            names.add(optimizer.optimizer_type)
    return canonical.dump(sorted(names))


def _unknown(config: Any, *, is_layer: bool) -> Iterator[str]:
    """The class and function names in a config that Keras cannot find by itself."""
    nodes: list[tuple[Any, bool]] = [(config, is_layer)]
    while nodes:
        node, is_layer = nodes.pop()
        if isinstance(node, list):
            nodes.extend((each, is_layer) for each in node)
        elif isinstance(node, dict):
            nodes.extend((each, _holds_layers(key, each)) for key, each in node.items())
            if "config" in node and _is_custom(node, is_layer):
                yield _object_name(node) or ""


def _holds_layers(key: str, value: Any) -> bool:
    """Whether a key of a config leads to layers; Keras 1 had them right under ``config``."""
    return key in _LAYERS or (key == "config" and isinstance(value, list))


def _is_custom(node: dict[str, Any], is_layer: bool) -> bool:
    """Whether Keras needs ``custom_objects`` for a serialized object.

    Newer objects tell their module, registered ones have a package before ``>``; of older ones only
    layers can be judged, by their class. Names in ``__`` are markers of the format.
    """
    name = node.get("class_name")
    if not isinstance(name, str) or name.startswith("__"):
        return False
    if name == "function":
        return isinstance(node["config"], str) and node["config"] not in FUNCTIONS
    if ">" in name:
        return True
    if "module" in node:
        return str(node["module"]).partition(".")[0] not in _KERAS
    return is_layer and name not in LAYERS and not _is_operation(node)


def _is_operation(node: dict[str, Any]) -> bool:
    """An operation stored as a layer; what people call the same is a layer, and can be trained."""
    return node["class_name"] in OPERATIONS and "trainable" not in shapes.config_of(node)
