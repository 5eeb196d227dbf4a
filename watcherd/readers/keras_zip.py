"""``.keras`` files: zip archives of a config, metadata and weights; or HDF5 under that name.

Keras writes them in place (``saving_lib.py``), its own members uncompressed, so that the weights
are read where they lie. Nothing is unpacked to the disk, and of what others compressed no more than
a limit into memory.
"""

import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from watcherd.plan import Description, Format, Outcome, Reading
from watcherd.readers import canonical, hdf5, keras_config
from watcherd.readers.source import Incomplete, Source, Unreadable

METADATA, CONFIG = "metadata.json", "config.json"
WEIGHTS = ("model.weights.h5", "model.weights.npz")
"""The latter where ``_save_model_to_fileobj`` was told so, in Keras 2.12 and 2.13."""

UNPACKED_LIMIT = 64 << 20
"""Bytes of a member once it is unpacked; configs of real models have at most some hundred KB."""
_DIRECTORY_LIMIT = 4 << 20
"""Bytes of an archive's directory: room for 40,000 members, of which Keras writes a dozen."""

_ZIP = b"PK"
_SIGNATURE = b"PK\x03\x04"
_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _LOCATOR64_BYTES = 22, 20
_COMMENT_BYTES = 0xFFFF
_IN_ZIP64 = 0xFFFFFFFF
"""APPNOTE.TXT 6.3 of PKWARE, sections 4.3.14 to 4.3.16: how an archive ends."""


def read(source: Source) -> Reading:
    """What a ``.keras`` file tells.

    Raises Incomplete and Unreadable for a fault of its content, OSError for the disk's, and
    whatever zipfile and pyfive make of damage.
    """
    head = source.read(0, len(_ZIP))
    if head and _ZIP.startswith(head):
        return Reading(Outcome.COMPLETE, Format.KERAS, description=_archive(source))
    return hdf5.read(source)


def _archive(source: Source) -> Description:
    _require_end(source)
    with zipfile.ZipFile(source.stream()) as archive:
        members = {member.filename: member for member in archive.infolist()}
        weights = next((members[name] for name in WEIGHTS if name in members), None)
        _require_members(members, weights)
        told = _configured(_json(archive, members[CONFIG]), _json(archive, members[METADATA]))
        held = _weights(source, archive, weights) if weights else None
    if held is None:
        return told
    inner = _read_weights(held).description
    return replace(
        told,
        parameters=inner.parameters,
        variables=inner.variables,
        dtype=inner.dtype,
        step=inner.step,
        optimizer=told.optimizer or inner.optimizer,
    )


def _require_end(source: Source) -> None:
    """Raise Incomplete unless the file ends as an archive does, which is written last."""
    start = max(0, source.size - _END_BYTES - _COMMENT_BYTES)
    tail = source.read(start, source.size - start)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_BYTES:
        raise Incomplete(
            "it does not end as a zip archive does: the save never finished (its writer was killed,"
            " or the disk was full), or it was truncated"
        )
    (directory,) = struct.unpack_from("<I", tail, at + 12)
    if directory == _IN_ZIP64:
        directory = _directory_of_zip64(source, start + at)
    if directory > _DIRECTORY_LIMIT:
        raise Unreadable(f"its directory has {directory:,} bytes, more than any model's")


def _directory_of_zip64(source: Source, end: int) -> int:
    """Bytes of the directory, as an archive beyond 4 GB says it elsewhere."""
    locator = source.read(max(0, end - _LOCATOR64_BYTES), _LOCATOR64_BYTES)
    if locator.startswith(_LOCATOR64):
        record = source.read(struct.unpack_from("<Q", locator, 8)[0], 48)
        if record.startswith(_END64) and len(record) == 48:
            return int(struct.unpack_from("<Q", record, 40)[0])
    raise Unreadable("damaged: the end of its archive leads nowhere")


def _require_members(members: dict[str, zipfile.ZipInfo], weights: zipfile.ZipInfo | None) -> None:
    lacking = [name for name in (METADATA, CONFIG) if name not in members]
    lacking += [] if weights else [WEIGHTS[0]]
    if len(lacking) == 3:
        raise Unreadable("a zip archive, but no Keras model: it has none of a model's members")
    if lacking:
        raise Incomplete(f"it lacks {' and '.join(lacking)}: saving it failed halfway")


def _json(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    name = member.filename
    if member.file_size > UNPACKED_LIMIT:
        raise Unreadable(f"its {name} has {member.file_size:,} bytes, more than any model's")
    try:
        return canonical.parse(_unpacked(archive, member).decode())
    except ValueError as error:
        raise Unreadable(f"its {name} is no JSON: {error}") from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's content, at most as long as it says; the caller knows that to be little."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(f"its {member.filename} is compressed in a way that Keras does not use")
    with archive.open(member) as file:
        # With a count, unlike without, zlib is never asked for more at once.
        return file.read(member.file_size)


def _configured(config: Any, metadata: Any) -> Description:
    """What config.json and metadata.json tell."""
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    training = config.pop("compile_config", None) if isinstance(config, dict) else None
    told = keras_config.describe(
        json.dumps(_renumbered(config, {})), json.dumps(training) if training else None
    )
    # Of a model in Python code build_config has the first batch that it saw, of that one's size.
    inputs = told.input_shape if told.depth else None
    return replace(told, keras_version=canonical.text(version), input_shape=inputs)


def _renumbered(config: Any, numbers: dict[Any, int]) -> Any:
    """The config with its ``shared_object_id``s counted from 0.

    Keras writes memory addresses there, other ones at each save of one architecture.
    """
    if isinstance(config, list):
        return [_renumbered(each, numbers) for each in config]
    if not isinstance(config, dict):
        return config
    copy = {key: _renumbered(value, numbers) for key, value in config.items()}
    shared = config.get("shared_object_id")
    if isinstance(shared, int):
        copy["shared_object_id"] = numbers.setdefault(shared, len(numbers))
    return copy


class _Member(Source):
    """A member of an archive, as if it were a file of its own."""

    def __init__(self, archive: Source, size: int, read: Callable[[int, int], bytes]) -> None:
        self._archive = archive
        self._size = size
        self._read = read

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, count: int) -> bytes:
        return self._read(offset, max(0, min(count, self._size - offset)))

    def check(self) -> None:
        self._archive.check()


def _weights(source: Source, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Source | None:
    """The HDF5 file within; None where it is no such, or is compressed and large."""
    if member.filename != WEIGHTS[0]:
        return None
    if member.compress_type == zipfile.ZIP_STORED:
        start = _start(source, member)
        return _Member(source, member.file_size, lambda at, count: source.read(start + at, count))
    if member.file_size > UNPACKED_LIMIT:
        return None
    content = _unpacked(archive, member)
    return _Member(source, len(content), lambda at, count: content[at : at + count])


def _start(source: Source, member: zipfile.ZipInfo) -> int:
    """Where a stored member's bytes begin: behind a header with its name (APPNOTE 4.3.7)."""
    header = source.read(member.header_offset, 30)
    if len(header) < 30 or not header.startswith(_SIGNATURE):
        raise Unreadable(f"damaged: its directory places {member.filename} where it is not")
    name, extra = struct.unpack_from("<HH", header, 26)
    start = member.header_offset + 30 + int(name) + int(extra)
    if start + member.file_size > source.size:
        raise Unreadable(f"damaged: its {member.filename} ends behind the archive")
    return start


def _read_weights(held: Source) -> Reading:
    try:
        return hdf5.read(held)
    except Incomplete as error:
        raise Incomplete(f"its {WEIGHTS[0]}: {error}") from error
    except Unreadable as error:
        raise Unreadable(f"its {WEIGHTS[0]}: {error}") from error
