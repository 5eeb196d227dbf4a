"""Optimizers as Keras 1 to 3 and TensorFlow 1 and 2 store them, brought to one form."""

import re
from collections.abc import Mapping
from typing import Any

from watcherd.plan import Optimizer
from watcherd.readers import canonical

_TYPES = {
    "adadelta": "Adadelta",
    "adafactor": "Adafactor",
    "adagrad": "Adagrad",
    "adam": "Adam",
    "adamax": "Adamax",
    "adamw": "AdamW",
    "ftrl": "Ftrl",
    "gradientdescent": "SGD",
    "lamb": "Lamb",
    "lion": "Lion",
    "momentum": "SGD",
    "muon": "Muon",
    "nadam": "Nadam",
    "rmsprop": "RMSprop",
    "sgd": "SGD",
}
"""Lower case, without underscores -> the class in Keras 3; TensorFlow 1 had names of its own."""

_KEYS = {"lr": "learning_rate"}
"""What Keras called otherwise before 2.3."""
_NOT_LEARNING = ("name", "is_legacy_optimizer", "jit_compile")
"""Settings that change how an optimizer is called or compiled, and nothing that it learns."""
_WRAPPED = ("inner_optimizer", "optimizer")
"""Where a LossScaleOptimizer (mixed precision) has the one that learns, which alone is told; the
latter before TF 2.4."""


def known_type(name: str) -> str | None:
    """The class an optimizer's name stands for: ``Custom>Adam``, ``rm_sprop_1`` or ``adam``.

    None for a name that people or libraries gave.
    """
    return _TYPES.get(re.sub(r"_\d+$", "", _bare(name)).replace("_", "").lower())


def from_training(training: Any) -> Optimizer | None:
    """The optimizer of a ``training_config``; None where it names none."""
    if not isinstance(training, dict):
        return None
    stored = training.get("optimizer_config") or training.get("optimizer")
    if isinstance(stored, str):
        stored = {"class_name": stored}
    return _from_config(stored) if isinstance(stored, dict) else None


def of(optimizer_type: str, settings: Mapping[str, Any]) -> Optimizer:
    """An optimizer's canonical form.

    Left out of ``config``: null settings, which mean the same as absent ones, and those that only
    name or compile. ``lr`` is ``learning_rate``; a schedule stays in ``config`` as its JSON.
    """
    kept = {key: value for key, value in settings.items() if key not in _NOT_LEARNING}
    rounded = {_KEYS.get(key, key): canonical.rounded(value) for key, value in kept.items()}
    config = {key: value for key, value in rounded.items() if value is not None}
    return Optimizer(optimizer_type, _number(config.get("learning_rate")), canonical.dump(config))


def _from_config(stored: dict[str, Any]) -> Optimizer | None:
    name = canonical.text(stored.get("class_name"))
    config = stored.get("config")
    settings: dict[str, Any] = config if isinstance(config, dict) else {}
    inner = next((settings[key] for key in _WRAPPED if isinstance(settings.get(key), dict)), None)
    if inner is not None:
        return _from_config(inner)
    return of(known_type(name) or _bare(name), settings) if name else None


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def _bare(name: str) -> str:
    """The class without its package: ``Custom>Adam`` and ``Addons>LAMB``."""
    return name.rpartition(">")[2]
