"""How many numbers a layer of Keras holds, by its config and its input shapes alone.

As ``Layer.count_params`` counts them: those that training leaves alone (the moving averages of a
BatchNormalization) among them. A rule raises where a config is of another form than Keras writes,
or a size is unknown; ``parameters`` takes that for "unknown".
"""

import math
from collections.abc import Callable

from watcherd.readers.layer_shapes import UNEXPECTED, Config, Shape, Shapes, units

_HOLDING_NONE = frozenset(
    {
        *("InputLayer", "Activation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax"),
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
        *("GaussianDropout", "GaussianNoise", "Masking", "Identity", "ActivityRegularization"),
        *("Flatten", "Reshape", "Permute", "RepeatVector", "Rescaling", "UnitNormalization"),
        *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"),
        *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "Lambda"),
        *("UpSampling1D", "UpSampling2D"),
        *(f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)),
        *(f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)),
    }
)
_GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4, "CuDNNGRU": 3, "CuDNNLSTM": 4}
"""Kernels that a recurrent layer has side by side."""


def parameters(class_name: str, config: Config, given: Shapes) -> int | None:
    """The numbers in a layer's weights; None where they cannot be told."""
    if class_name in _HOLDING_NONE:
        return 0
    rule = _RULES.get(class_name)
    try:
        if class_name in _GATES:
            return _recurrent(class_name, config, _known(given))
        return rule(config, _known(given)) if rule else None
    except UNEXPECTED:
        return None


def _known(given: Shapes) -> list[Shape]:
    """Raises TypeError where one is unknown."""
    return [[*shape] for shape in given]  # type: ignore[misc]  # None: what UNEXPECTED is for


def _channels(shape: Shape) -> int:
    """The last size of a shape. Raises TypeError where it varies."""
    return int(shape[-1])  # type: ignore[arg-type]  # as above


def _biased(config: Config) -> bool:
    return bool(config.get("use_bias", config.get("bias", True)))  # ``bias`` in Keras 1


def _dense(config: Config, given: list[Shape]) -> int:
    return (_channels(given[0]) + _biased(config)) * units(config)


def _recurrent(class_name: str, config: Config, given: list[Shape]) -> int:
    """Kernel, recurrent kernel and bias. The GRU of cuDNN, and one with ``reset_after``, has a bias
    for each of its two kernels; so has the LSTM of cuDNN."""
    own = units(config)
    is_fused = class_name.startswith("CuDNN")
    biases = 2 if is_fused or config.get("reset_after") else 1
    if not is_fused and not _biased(config):
        biases = 0
    return _GATES[class_name] * own * (_channels(given[0]) + own + biases)


def _bidirectional(config: Config, given: list[Shape]) -> int:
    """Two copies of one layer."""
    return 2 * _inner(config, given)


def _time_distributed(config: Config, given: list[Shape]) -> int:
    return _inner(config, [[given[0][0], *given[0][2:]]])


def _inner(config: Config, given: list[Shape]) -> int:
    layer = config["layer"]
    found = parameters(layer["class_name"], layer["config"], [*given])
    if found is None:
        raise ValueError
    return found


def _convolution(config: Config, given: list[Shape]) -> int:
    filters = int(config["filters"])
    inside = _channels_in(config, given) // int(config.get("groups", 1))
    return (math.prod(config["kernel_size"]) * inside + _biased(config)) * filters


def _transposed(config: Config, given: list[Shape]) -> int:
    kernel = math.prod(config["kernel_size"]) * _channels_in(config, given)
    return (kernel + _biased(config)) * int(config["filters"])


def _depthwise(config: Config, given: list[Shape]) -> int:
    channels = _channels_in(config, given) * int(config["depth_multiplier"])
    return (math.prod(config["kernel_size"]) + _biased(config)) * channels


def _separable(config: Config, given: list[Shape]) -> int:
    channels = _channels_in(config, given) * int(config["depth_multiplier"])
    across = (channels + _biased(config)) * int(config["filters"])
    return math.prod(config["kernel_size"]) * channels + across


def _channels_in(config: Config, given: list[Shape]) -> int:
    first = config.get("data_format") == "channels_first"
    return _channels([given[0][1]] if first else given[0])


def _embedding(config: Config, _: list[Shape]) -> int:
    return int(config["input_dim"]) * int(config["output_dim"])


def _batch_normalization(config: Config, given: list[Shape]) -> int:
    """Mean and variance, and what is learnt beside them."""
    return _along_axis(config, given) * (2 + _learnt(config))


def _layer_normalization(config: Config, given: list[Shape]) -> int:
    return _along_axis(config, given) * _learnt(config)


def _rms_normalization(config: Config, given: list[Shape]) -> int:
    return _along_axis(config, given)


def _learnt(config: Config) -> int:
    return bool(config["center"]) + bool(config["scale"])


def _along_axis(config: Config, given: list[Shape]) -> int:
    axes = config["axis"] if isinstance(config["axis"], list) else [config["axis"]]
    return math.prod(_channels([given[0][axis]]) for axis in axes)


def _attention(config: Config, given: list[Shape]) -> int:
    """Query, key, value and output, each a kernel and a bias. Self-attention names one input."""
    query, value, key = _channels(given[0]), _channels(given[1]), _channels(given[-1])
    heads, size = int(config["num_heads"]), int(config["key_dim"])
    value_size = int(config["value_dim"] or size)
    if config.get("output_shape"):
        raise ValueError
    biased = bool(config["use_bias"])
    into = (query + key + 2 * biased) * heads * size + (value + biased) * heads * value_size
    return into + (heads * value_size + biased) * query


_RULES: dict[str, Callable[[Config, list[Shape]], int]] = {
    "Dense": _dense,
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _transposed),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    "Embedding": _embedding,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _layer_normalization,
    "RMSNormalization": _rms_normalization,
    "MultiHeadAttention": _attention,
}
