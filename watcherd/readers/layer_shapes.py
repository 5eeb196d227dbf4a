"""What the layers of Keras make of a shape: one rule each, for the layers that forecasters use.

A rule takes a layer's config and its input shapes (None where unknown). A config of another form
than Keras writes makes it raise; ``after`` takes that for "unknown".
"""

import math
from collections.abc import Callable
from typing import Any

Shape = list[int | None]
"""None stands for the batch and for what may vary."""
Config = dict[str, Any]
Shapes = list[Shape | None]

UNEXPECTED = (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError)


def after(class_name: str, config: Config, given: Shapes) -> Shape | None:
    """A layer's output shape; None where it is unknown."""
    rule = _RULES.get(class_name)
    try:
        return rule(config, given) if rule else None
    except UNEXPECTED:
        return None


def _same(_: Config, given: Shapes) -> Shape | None:
    """Inputs of one shape give it again; others may be broadcast, which is not told here."""
    return given[0] if all(shape == given[0] for shape in given) else None


def units(config: Config) -> int:
    """The size of a layer's output. Raises KeyError where the config has none."""
    return int(config["units"] if "units" in config else config["output_dim"])  # Keras 1


def _dense(config: Config, given: Shapes) -> Shape | None:
    return given[0] and [*given[0][:-1], units(config)]


def _recurrent(config: Config, given: Shapes) -> Shape | None:
    """Its last output needs no known input: [batch, units]."""
    if config.get("return_state"):
        return None
    shape = given[0]
    if config["return_sequences"]:
        return shape and [shape[0], shape[1], units(config)]
    return [shape[0] if shape else None, units(config)]


def _bidirectional(config: Config, given: Shapes) -> Shape | None:
    shape = _inner(config, given)
    if shape is None or config["merge_mode"] is None or shape[-1] is None:
        return None
    return [*shape[:-1], shape[-1] * (2 if config["merge_mode"] == "concat" else 1)]


def _time_distributed(config: Config, given: Shapes) -> Shape | None:
    shape = given[0]
    inner = _inner(config, [[shape[0], *shape[2:]]]) if shape else None
    return [inner[0], shape[1], *inner[1:]] if shape and inner else None


def _inner(config: Config, given: Shapes) -> Shape | None:
    layer = config["layer"]
    return after(layer["class_name"], layer["config"], given)


def _flatten(_: Config, given: Shapes) -> Shape | None:
    shape = given[0]
    if shape is None:
        return None
    known = [size for size in shape[1:] if size is not None]
    return [shape[0], math.prod(known) if len(known) == len(shape) - 1 else None]


def _global_pooling(config: Config, given: Shapes) -> Shape | None:
    if not _channels_last(config) or config.get("keepdims"):
        return None
    return given[0] and [given[0][0], given[0][-1]]


def _embedding(config: Config, given: Shapes) -> Shape | None:
    return given[0] and [*given[0], int(config["output_dim"])]


def _repeat(config: Config, given: Shapes) -> Shape | None:
    return given[0] and [given[0][0], int(config["n"]), given[0][1]]


def _reshape(config: Config, given: Shapes) -> Shape | None:
    target = list(config["target_shape"])
    shape = given[0]
    if -1 in target:
        total = _flatten({}, given) if shape else None
        rest = -math.prod(target)
        target[target.index(-1)] = total[1] // rest if total and total[1] else None
    return [shape[0] if shape else None, *target]


def _concatenate(config: Config, given: Shapes) -> Shape | None:
    """Along the last axis, which is the default."""
    shapes = [shape for shape in given if shape]
    rests = {tuple(shape[:-1]) for shape in shapes}
    ends = [shape[-1] for shape in shapes]
    if config.get("axis") != -1 or len(shapes) < len(given) or len(rests) > 1 or None in ends:
        return None
    return [*shapes[0][:-1], sum(end for end in ends if end is not None)]


def _convolution(config: Config, given: Shapes) -> Shape | None:
    shape = given[0]
    if shape is None or not _channels_last(config):
        return None
    places = zip(
        shape[1:-1], config["kernel_size"], config["strides"], config["dilation_rate"], strict=True
    )
    sizes = [_slid(size, (k - 1) * d + 1, s, config["padding"]) for size, k, s, d in places]
    return [shape[0], *sizes, int(config["filters"])]


def _pooling(config: Config, given: Shapes) -> Shape | None:
    shape = given[0]
    if shape is None or not _channels_last(config):
        return None
    strides = config["strides"] or config["pool_size"]
    places = zip(shape[1:-1], config["pool_size"], strides, strict=True)
    return [shape[0], *(_slid(n, k, s, config["padding"]) for n, k, s in places), shape[-1]]


def _slid(size: int | None, window: int, stride: int, padding: str) -> int | None:
    """How often a window fits; ``same`` and ``causal`` padding let it begin everywhere."""
    if size is None:
        return None
    return -(-(size - window + 1 if padding == "valid" else size) // stride)


def _channels_last(config: Config) -> bool:
    return bool(config.get("data_format", "channels_last") == "channels_last")


_KEEPING = frozenset(
    {
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU", "Softmax"),
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
        *("GaussianDropout", "GaussianNoise", "Masking", "Identity", "ActivityRegularization"),
        *("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization"),
        *("UnitNormalization", "Normalization", "Rescaling"),
        *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"),
    }
)
_SIZES = [(kind, n) for kind in ("Max", "Average") for n in (1, 2, 3)]
_RULES: dict[str, Callable[[Config, Shapes], Shape | None]] = {
    **dict.fromkeys(_KEEPING, _same),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU"), _recurrent),
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _convolution),
    **{f"{kind}Pooling{n}D": _pooling for kind, n in _SIZES},
    **{f"Global{kind}Pooling{n}D": _global_pooling for kind, n in _SIZES},
    "Dense": _dense,
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "Flatten": _flatten,
    "Embedding": _embedding,
    "RepeatVector": _repeat,
    "Reshape": _reshape,
    "Concatenate": _concatenate,
}
