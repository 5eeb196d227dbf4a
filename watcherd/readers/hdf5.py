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

import numpy as np
import pyfive

from watcherd.plan import Description, Format, Outcome, Reading
from watcherd.readers import canonical, keras_config, optimizers, superblock
from watcherd.readers.source import Source, Unreadable
from watcherd.readers.tally import steps, tally
from watcherd.readers.twins import Recorded, Twins

_COUNTER = re.compile(r"(^|/)iter(ation)?s?(_\d+)?(:0)?$")
"""``iterations_1:0`` (Keras 2.0), ``Adam/iter:0`` (2.10), ``adam/iteration`` (3)."""
_NEW_LAYOUT = frozenset({"layers", "_layer_checkpoint_dependencies", "vars"})
"""What ``.weights.h5`` files have at their root, since Keras 2.12; ``vars`` even where empty."""
_NOWHERE = (1 << 64) - 1
"""The undefined address: no data was ever written there."""
_NO_WEIGHTS = frozenset({"optimizer", "metrics", "seed_generator"})
"""Groups of the new layout that hold other state than the model's weights."""


class _Tensor(NamedTuple):
    path: str
    dtype: str
    elements: int


class _Number(NamedTuple):
    """The one number of a dataset."""

    offset: int | None
    """Where it stands among the data; None where it stands in the structure."""
    dtype: np.dtype[Any]
    value: Any = None
    """What stands in the structure."""


class _Told(NamedTuple):
    """What a file's structure tells, and where the numbers are that training changes."""

    format: Format
    description: Description
    counters: tuple[_Number, ...] = ()
    """The steps by the optimizers' own counts; one that scales another's loss may count none."""
    optimizer_type: str | None = None
    rate: _Number | None = None
    """The learning rate, where it stands among the data only."""


_twins = Twins[_Told]()


def read(source: Source) -> Reading:
    """What an HDF5 file tells.

    Raises Incomplete and Unreadable for a fault of its content, OSError for the disk's, and
    whatever pyfive makes of damage.
    """
    superblock.require_finished(source)
    told = _twins.find(source) or _parse(source)
    return Reading(Outcome.COMPLETE, told.format, description=_with_numbers(told, source))


def _parse(source: Source) -> _Told:
    stream = Recorded(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyfive warns of types that Keras does not use
        told = _contents(pyfive.File(stream))
    _twins.keep(source, stream, told)
    return told


def _contents(file: Any) -> _Told:
    """The format by content, never by suffix, and what files of it tell."""
    attributes = file.attrs
    if "model_config" in attributes:
        return _model(file)
    if "layer_names" in attributes or "layer_names0" in attributes:
        told = _sizes(_versions(Description(), attributes), _tensors(file))
        return _Told(Format.WEIGHTS_H5, told)
    weights = _new_weights(file)
    if weights is not None:
        return _trained(file, _sizes(Description(), weights))
    return _Told(Format.HDF5, Description())


def _with_numbers(told: _Told, source: Source) -> Description:
    """The description with the numbers that no other file of the same structure need have."""
    counts = [steps(_value(number, source)) for number in told.counters]
    step = max((count for count in counts if count is not None), default=None)
    description = replace(told.description, step=step)
    if told.optimizer_type is None:
        return description
    rate = _value(told.rate, source) if told.rate else None
    settings = {"learning_rate": rate} if isinstance(rate, float) else {}
    return replace(description, optimizer=optimizers.of(told.optimizer_type, settings))


def _value(number: _Number, source: Source) -> int | float | None:
    value = number.value
    if number.offset is not None:
        piece = source.read(number.offset, number.dtype.itemsize)
        if len(piece) < number.dtype.itemsize:
            raise Unreadable("damaged: it says that data lies behind its end")
        value = np.frombuffer(piece, number.dtype)[0].item()
    return value if isinstance(value, int | float) else None


def _model(file: Any) -> _Told:
    attributes, members = file.attrs, set(file)
    training = _text(attributes, "training_config") if "training_config" in attributes else None
    told = keras_config.describe(_text(attributes, "model_config"), training)
    told = _versions(told, attributes)
    if "model_weights" in members:
        told = _sizes(told, _tensors(file.get_lazy_view("model_weights")))
    if "optimizer_weights" not in members:
        return _Told(Format.H5, told)
    return _Told(Format.H5, told, _counters(file.get_lazy_view("optimizer_weights")))


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
        if not _is_optimizer(member):
            found += _tensors(member, f"{name}/")
    if any(tensor.path.split("/")[-2] != "vars" for tensor in found):
        return None
    return [tensor for tensor in found if _NO_WEIGHTS.isdisjoint(tensor.path.split("/"))]


def _is_optimizer(group: Any) -> bool:
    """Whether it is an optimizer under a name of people's own: one of several, say.

    Keras 3 names it, and its first variable counts steps.
    """
    state = _member(group, "vars")
    if state is None or _kind(state) is None:
        return False
    count = _number(state, "0")
    return count is not None and count.dtype.kind in "iu"


def _kind(state: Any) -> str | None:
    """The type of the optimizer whose variables these are, where Keras 3 named it."""
    return optimizers.known_type(canonical.text(_single(state.attrs.get("name"))) or "")


def _trained(file: Any, told: Description) -> _Told:
    """What the new layout tells of training: the optimizer's first variable counts the steps.

    The second is the learning rate, unless a schedule stands in its place; Keras 3 names the
    optimizer beside them.
    """
    group = _member(file, "optimizer")
    while group is not None and (inner := _member(group, "inner_optimizer")) is not None:
        group = inner
    state = None if group is None else _member(group, "vars")
    if state is None:
        return _Told(Format.WEIGHTS_H5, told)
    step = _number(state, "0")
    return _Told(
        Format.WEIGHTS_H5,
        told,
        counters=(step,) if step else (),
        optimizer_type=_kind(state),
        rate=_number(state, "1"),
    )


def _counters(group: Any) -> tuple[_Number, ...]:
    paths = (path for path in _names(group.attrs, "weight_names") if _COUNTER.search(path))
    return tuple(filter(None, (_number(group, path) for path in paths)))


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


def _number(group: Any, path: str) -> _Number | None:
    """Where the one number of a dataset is; None where there is none such."""
    dataset = _member(group, path)
    if not isinstance(dataset, pyfive.Dataset) or dataset.shape not in ((), (1,)) or dataset.chunks:
        return None
    dtype = dataset.dtype
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iuf":
        return None
    place = getattr(dataset.id, "data_offset", _NOWHERE)
    if place == _NOWHERE:  # stored in the header, or never written: then it is the fill value
        return _Number(None, dtype, _single(dataset[()]))
    return _Number(place, dtype)


def _single(value: Any) -> Any:
    """The Python value of a NumPy scalar or of an array of one element."""
    return value.item() if getattr(value, "size", 0) == 1 and hasattr(value, "item") else value
