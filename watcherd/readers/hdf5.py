"""HDF5 files: whole Keras models, weights in two layouts, or something else; told by content.

pyfive reads them: pure Python, so it takes no lock, follows no link into another file and survives
what makes the C library crash. Attributes and the shapes of datasets are enough; of the data only
single numbers are read, such as how many steps were trained.
"""

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pyfive

from watcherd.plan import Description, Format, Optimizer, Outcome, Reading
from watcherd.readers import canonical, keras_config, optimizers, superblock
from watcherd.readers.source import Source, Unreadable
from watcherd.readers.tally import steps, tally

_COUNTER = re.compile(r"(^|/)iter(ation)?s?(_\d+)?(:0)?$")
"""``iterations_1:0`` (Keras 2.0), ``Adam/iter:0`` (2.10), ``adam/iteration`` (3)."""
_NEW_LAYOUT = frozenset({"layers", "_layer_checkpoint_dependencies", "vars"})
"""What ``.weights.h5`` files have at their root, since Keras 2.12; ``vars`` even where empty."""
_NO_WEIGHTS = frozenset({"optimizer", "metrics", "seed_generator"})
"""Groups of the new layout that hold other state than the model's weights."""


class _Tensor(NamedTuple):
    path: str
    dtype: str
    elements: int


def read(source: Source) -> Reading:
    """What an HDF5 file tells.

    Raises Incomplete and Unreadable for a fault of its content, OSError for the disk's, and
    whatever pyfive makes of damage.
    """
    superblock.require_finished(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyfive warns of types that Keras does not use
        form, description = _contents(pyfive.File(source.stream()))
    return Reading(Outcome.COMPLETE, form, description=description)


def _contents(file: Any) -> tuple[Format, Description]:
    """The format by content, never by suffix, and what files of it tell."""
    attributes = file.attrs
    if "model_config" in attributes:
        return Format.H5, _model(file)
    if "layer_names" in attributes or "layer_names0" in attributes:
        return Format.WEIGHTS_H5, _sizes(_versions(Description(), attributes), _tensors(file))
    weights = _new_weights(file)
    if weights is not None:
        return Format.WEIGHTS_H5, _sizes(_trained(file), weights)
    return Format.HDF5, Description()


def _model(file: Any) -> Description:
    attributes, members = file.attrs, set(file)
    training = _text(attributes, "training_config") if "training_config" in attributes else None
    told = keras_config.describe(_text(attributes, "model_config"), training)
    told = _versions(told, attributes)
    if "model_weights" in members:
        told = _sizes(told, _tensors(file.get_lazy_view("model_weights")))
    if "optimizer_weights" in members:
        told = replace(told, step=_step(file.get_lazy_view("optimizer_weights")))
    return told


def _text(attributes: Mapping[str, Any], name: str) -> str:
    text = canonical.text(_single(attributes[name]))
    if text is None:
        raise Unreadable(f"its {name} is no text")
    return text


def _versions(told: Description, attributes: Mapping[str, Any]) -> Description:
    return replace(
        told,
        keras_version=canonical.text(_single(attributes.get("keras_version"))),
        backend=canonical.text(_single(attributes.get("backend"))),
    )


def _sizes(told: Description, weights: list[_Tensor]) -> Description:
    total = tally((tensor.dtype, tensor.elements) for tensor in weights)
    return replace(told, **total._asdict())


def _tensors(group: Any, way: str = "") -> list[_Tensor]:
    """Every dataset at or below a group."""
    found: list[_Tensor] = []

    def note(path: str, member: Any) -> None:
        if isinstance(member, pyfive.Dataset):
            found.append(_Tensor(way + path, _dtype(member), math.prod(member.shape)))

    group.visititems(note, noindex=True)
    return found


def _dtype(dataset: Any) -> str:
    """NumPy's name. Keras stores bfloat16, which HDF5 does not know, as opaque pairs of bytes."""
    name = str(getattr(dataset.dtype, "name", dataset.dtype))
    return "bfloat16" if name == "void16" else name


def _new_weights(file: Any) -> list[_Tensor] | None:
    """The weights of the new layout, which has all data in groups named ``vars``; None if it isn't
    that."""
    members = set(file)
    if not members & _NEW_LAYOUT:
        return None
    found: list[_Tensor] = []
    for name in members - _NO_WEIGHTS:
        member = file.get_lazy_view(name)
        if not isinstance(member, pyfive.Group):
            return None
        found += _tensors(member, f"{name}/")
    if any(tensor.path.split("/")[-2] != "vars" for tensor in found):
        return None
    return [tensor for tensor in found if _NO_WEIGHTS.isdisjoint(tensor.path.split("/"))]


def _trained(file: Any) -> Description:
    """What the new layout tells of training: the optimizer's first variable counts the steps."""
    group = _member(file, "optimizer")
    while group is not None and (inner := _member(group, "inner_optimizer")) is not None:
        group = inner
    state = None if group is None else _member(group, "vars")
    if state is None:
        return Description()
    return Description(step=steps(_number(state, "0")), optimizer=_optimizer(state))


def _optimizer(state: Any) -> Optimizer | None:
    """The optimizer that Keras 3 names beside its variables.

    The second variable is the learning rate, unless a schedule stands in its place.
    """
    kind = optimizers.known_type(canonical.text(_single(state.attrs.get("name"))) or "")
    rate = _number(state, "1")
    settings = {"learning_rate": rate} if isinstance(rate, float) else {}
    return optimizers.of(kind, settings) if kind else None


def _step(group: Any) -> int | None:
    """The steps by the optimizers' own counts; one that scales another's loss may count none."""
    paths = (path for path in _names(group.attrs, "weight_names") if _COUNTER.search(path))
    counts = (steps(_number(group, path)) for path in paths)
    return max((count for count in counts if count is not None), default=None)


def _names(attributes: Mapping[str, Any], name: str) -> Iterator[str]:
    """A list of names, also where Keras split it (``save_attributes_to_hdf5_group``)."""
    for key, value in attributes.items():
        if re.fullmatch(rf"{name}\d*", key) and hasattr(value, "tolist"):
            yield from (canonical.text(item) or "" for item in value.tolist())


def _member(group: Any, path: str) -> Any:
    """What lies at a path below a group, without reading any data; None if nothing does."""
    try:
        return group.get_lazy_view(path)
    except KeyError:
        return None


def _number(group: Any, path: str) -> int | float | None:
    """The one number of a dataset; None where there is none such."""
    dataset = _member(group, path)
    if not isinstance(dataset, pyfive.Dataset) or dataset.shape not in ((), (1,)) or dataset.chunks:
        return None
    value = _single(dataset[()])
    return value if isinstance(value, int | float) else None


def _single(value: Any) -> Any:
    """The Python value of a NumPy scalar or of an array of one element."""
    return value.item() if getattr(value, "size", 0) == 1 and hasattr(value, "item") else value
