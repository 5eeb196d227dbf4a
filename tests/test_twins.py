"""Files of one structure tell the same without being parsed again, and only they do."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import keras_files as made
from watcherd.artifact import Artifact, Form, Part, Role
from watcherd.plan import Outcome, Reading
from watcherd.readers import hdf5, read, source, twins
from watcherd.readers.source import opened


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_twins", twins.Twins())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    """One architecture, saved after each of three epochs, whole and its weights alone."""
    import keras
    import numpy as np

    folder = tmp_path_factory.mktemp("trained")
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.layers.Input((8, 3)), keras.layers.LSTM(4, name="l"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    given = np.random.default_rng(1).normal(size=(32, 8, 3)), np.zeros((32, 1))
    saved = []
    for name in "abc":
        model.fit(*given, epochs=1, verbose=0)
        model.save(folder / f"{name}.h5")
        model.save_weights(folder / f"{name}.weights.h5")
        saved.append((folder / f"{name}.h5").read_bytes())
        saved.append((folder / f"{name}.weights.h5").read_bytes())
    return tuple(saved)


def reading_of(path: Path, content: bytes) -> Reading:
    path.write_bytes(content)
    part = Part(Role.H5, path.name, made.fact_of(path))
    return read(str(path.parent), Artifact(path.name, Form.HDF5, (part,)))


def is_known(path: Path) -> bool:
    """Whether a file's structure is remembered."""
    part = Part(Role.H5, path.name, made.fact_of(path))
    with opened(str(path.parent), part) as source:
        return hdf5._twins.find(source) is not None


@pytest.mark.parametrize("kind", ["model", "weights"])
def test_a_later_save_of_one_training_is_told_by_the_structure_of_the_first(
    kind: str, trained: tuple[bytes, ...], tmp_path: Path
) -> None:
    first, *later = trained[0 if kind == "model" else 1 :: 2]
    told = [reading_of(tmp_path / "0.h5", first)]
    for number, content in enumerate(later, 1):
        path = tmp_path / f"{number}.h5"
        path.write_bytes(content)
        assert is_known(path)
        told.append(reading_of(path, content))
    assert [one.description.step for one in told] == [1, 2, 3]
    assert len({one.fingerprint for one in told}) == 3
    assert len({(one.description.parameters, one.description.architecture) for one in told}) == 1


@settings(max_examples=40)
@given(data=st.data())
def test_what_is_told_of_a_file_does_not_depend_on_what_was_read_before(
    data: st.DataObject, trained: tuple[bytes, ...], tmp_path: Path
) -> None:
    """A byte changed anywhere: the reading is the same with and without a memory of the whole."""
    whole = trained[0]
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "m.h5"
    hdf5._twins = twins.Twins()
    alone = reading_of(path, bytes(changed))
    hdf5._twins = twins.Twins()
    reading_of(path, whole)
    assert _content(reading_of(path, bytes(changed))) == _content(alone)


def _content(reading: Reading) -> tuple[Any, ...]:
    return reading.outcome, reading.format, reading.fingerprint, reading.description


def test_a_structure_that_differs_in_one_byte_is_parsed(
    trained: tuple[bytes, ...], tmp_path: Path
) -> None:
    whole = trained[0]
    reading_of(tmp_path / "whole.h5", whole)
    other = tmp_path / "other.h5"
    other.write_bytes(whole.replace(b'"units": 4', b'"units": 5'))
    assert other.stat().st_size == len(whole)
    assert not is_known(other)


def test_no_more_than_so_many_structures_are_remembered(
    trained: tuple[bytes, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twins, "SIZES", 1)
    reading_of(tmp_path / "model.h5", trained[0])
    reading_of(tmp_path / "weights.h5", trained[1])
    assert not is_known(tmp_path / "model.h5")
    assert is_known(tmp_path / "weights.h5")


def test_no_more_than_so_many_bytes_of_structure_are_remembered(
    trained: tuple[bytes, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading_of(tmp_path / "model.h5", trained[0])
    monkeypatch.setattr(twins, "ALL", hdf5._twins._size)
    reading_of(tmp_path / "weights.h5", trained[1])
    assert not is_known(tmp_path / "model.h5")
    assert is_known(tmp_path / "weights.h5")


def test_of_a_file_that_is_overwritten_while_it_is_parsed_nothing_is_remembered(
    trained: tuple[bytes, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told of the old content is not to be told of the new one, which is as large."""
    path = tmp_path / "m.h5"
    anew = trained[0].replace(b'"units": 4', b'"units": 5')
    contents = hdf5._contents

    def overwritten(file: Any) -> Any:
        told = contents(file)
        with path.open("r+b") as again:
            again.write(anew)
        os.utime(path, ns=(1, 1))  # within one tick of the clock nobody could see the difference
        return told

    monkeypatch.setattr(source, "WHOLE", 0)  # a larger file than is read at once
    with monkeypatch.context() as patched:
        patched.setattr(hdf5, "_contents", overwritten)
        assert reading_of(path, trained[0]).outcome is Outcome.CHANGED
    told = reading_of(path, anew).description.architecture
    assert told is not None
    assert '"units":5' in told


def test_a_file_that_is_cut_after_its_structure_is_no_twin(
    trained: tuple[bytes, ...], tmp_path: Path
) -> None:
    path = tmp_path / "m.h5"
    assert reading_of(path, trained[0]).outcome is Outcome.COMPLETE
    assert reading_of(path, trained[0][:-1]).outcome is Outcome.INCOMPLETE
    os.truncate(path, len(trained[0]))
    assert reading_of(path, trained[0][:-1] + b"\0").outcome is Outcome.COMPLETE
