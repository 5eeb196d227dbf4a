"""The text file ``checkpoint`` in which a trainer names its recent checkpoints."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRING = rb"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
_TOKEN = re.compile(
    rb"""
    \#[^\n]*                                    # a comment
    | (?<![A-Za-z0-9_])
      (?P<key>(?:all_)?model_checkpoint_paths?)\s*:\s*(?P<value>(?:%b\s*)+)
    | %b                                        # a value of another field
    | ["'][^\n]*                                # a string without its end: the line is junk
    """
    % (_STRING, _STRING),
    re.VERBOSE | re.DOTALL,
)
_STRINGS = re.compile(_STRING, re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_LETTERS = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_LATEST = b"model_checkpoint_path"
_SHARDS = re.compile(r"-\?+-of-[0-9]{5,}\Z")
"""How the V1 format names the shards of a checkpoint: ``P-?????-of-00002``."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """The checkpoints that a state file names, as prefixes in its own folder."""

    latest: str | None = None
    """The name of ``model_checkpoint_path``: what a trainer resumes from."""
    all: tuple[str, ...] = ()
    """The names of ``all_model_checkpoint_paths``, oldest first, as TensorFlow lists them."""


def read_state_file(text: bytes) -> StateFile:
    """Read TensorFlow's ``CheckpointState`` (checkpoint_state.proto, text format).

    Folders in the paths are dropped: people copy and mount checkpoint folders elsewhere, and a
    checkpoint lies beside its state file. Never raises; what is no state file names nothing, and
    from a damaged one is taken what can be read, because a name read protects a checkpoint.
    """
    latest, every = None, []
    for key, path in _paths(text):
        if name := _name_of(path):
            if key == _LATEST:
                latest = name
            elif key == b"all_model_checkpoint_paths":
                every.append(name)
    return StateFile(latest, tuple(every))


def path_of_latest(text: bytes) -> str | None:
    """The ``model_checkpoint_path`` with its folders, absolute or from the state file's own:
    ``CheckpointManager(checkpoint_name="run/ckpt")`` saves in a folder below."""
    return next((path for key, path in reversed([*_paths(text)]) if key == _LATEST), None)


def _paths(text: bytes) -> Iterator[tuple[bytes, str]]:
    for token in _TOKEN.finditer(text):
        if token["key"]:
            yield token["key"], _plain(_unquote(token["value"]))


def _unquote(value: bytes) -> str:
    """Adjacent strings are one, as in C. Bytes that are no UTF-8 read as in ``os.fsdecode``."""
    joined = b"".join(quoted[1:-1] for quoted in _STRINGS.findall(value))
    return _ESCAPE.sub(_unescape, joined).decode("utf-8", "surrogateescape")


def _unescape(escape: re.Match[bytes]) -> bytes:
    octal, hexadecimal, letter = escape.groups()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    return bytes([_LETTERS.get(letter[0], letter[0])])


def _plain(path: str) -> str:
    return _SHARDS.sub("", path.replace("\\", "/") if _WINDOWS.match(path) else path)


def _name_of(path: str) -> str | None:
    name = path.rpartition("/")[2]
    return None if name in ("", ".", "..") else name
