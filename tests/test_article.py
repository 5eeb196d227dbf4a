"""The session that the program was written for, on models that Keras trained.

A person has a tree of models, trains one more, puts two into an ensemble, back-tests three, deletes
one that is in an ensemble and takes that back; once with the commands alone, once with the daemon
beside plain cp, mv and rm.
"""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from tests.conftest import RunningDaemon, Saved, on_disk, rows, wait_until
from tests.inline import reconcile, reconciler_of
from tests.test_cli import call
from watcherd.wiring import person

TYPES = {"LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU}
PLACE = "1h/BTCUSDT"
A, B, G, NEW = (f"{PLACE}/{name}.h5" for name in ("LSTM/a", "LSTM/b", "GRU/a", "LSTM/new"))
AVERAGE = f"{PLACE}/ensemble_average"
SERIES = np.random.default_rng(1).random((16, 24, 5))
NEXT = SERIES[:, -1, :1]


def train(file: Path, units: int, rate: float) -> Any:
    """A small forecaster of the type that its folder names, really trained and saved."""
    keras.utils.set_random_seed(units)
    recurrent = TYPES[file.parent.name]
    model = keras.Sequential([keras.layers.Input((24, 5)), recurrent(units), keras.layers.Dense(1)])
    adam = keras.optimizers.Adam(rate, beta_1=0.8, beta_2=0.99, epsilon=1e-6, amsgrad=True)
    model.compile(adam, "mse", metrics=["mae"])
    model.fit(SERIES, NEXT, epochs=1, verbose=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
    return model


@pytest.fixture
def trained(root: Path) -> dict[str, Any]:
    """What is there before the registry: path -> the model that was saved."""
    return {path: train(root / path, units, 0.01) for path, units in ((A, 3), (B, 4), (G, 3))}


def says(root: Path, *words: str) -> Any:
    """What a command answers to scripts."""
    done = call("--root", str(root), "--json", *words)
    assert done.status == 0, done.err
    return done.json()


def verbs(root: Path, path: str) -> list[str]:
    return [line["verb"] for line in says(root, "history", path)]


def members(root: Path) -> set[tuple[str, str, int]]:
    """By SQL, as the article asks it: the model, the ensemble, whether they are equal."""
    query = (
        "SELECT model.path, its.ensemble_type, its.same_content"
        " FROM ensemble_member AS its JOIN model USING (model_id)"
    )
    return {tuple(row.values()) for row in rows(root, query)}


def test_the_articles_session_by_commands(root: Path, trained: dict[str, Any]) -> None:
    # Populate from the existing tree.
    says(root, "reconcile")
    assert on_disk(root) == dict.fromkeys(trained, "present")
    found = rows(root, "SELECT path, interval, ticker, type, model_name FROM present_model")
    assert {tuple(row.values()) for row in found} == {
        (A, "1h", "BTCUSDT", "LSTM", "a"),
        (B, "1h", "BTCUSDT", "LSTM", "b"),
        (G, "1h", "BTCUSDT", "GRU", "a"),
    }
    assert len(rows(root, "SELECT * FROM optimizer")) == 1, "one row that three models share"

    # Train one more.
    trained[NEW] = train(root / NEW, 5, 0.02)
    says(root, "reconcile")
    assert verbs(root, NEW) == ["registered"]
    assert len(rows(root, "SELECT * FROM optimizer")) == 2

    # Put two into an ensemble; one of them has its name twice.
    says(root, "ensemble", "add", A, B, "--type", "ensemble_average")
    assert members(root) == {(A, "ensemble_average", 1), (B, "ensemble_average", 1)}
    assert (root / AVERAGE / "a.h5").read_bytes() == (root / A).read_bytes()
    assert {row["path"] for row in says(root, "list")} == set(trained), "copies are no models"

    # Is it part of an ensemble, and of which?
    for path, ensemble in ((A, "ensemble_average"), (G, None)):
        shown = says(root, "show", path)
        assert (shown["ensemble"], shown["ensemble_type"]) == (int(bool(ensemble)), ensemble)

    # Back-test three.
    for path, sharpe in ((A, 1.31), (B, 0.7), (G, 0.9)):
        says(root, "record", path, f"sharpe={sharpe}", "--context", '{"window": "2024"}')
    (best,) = says(root, "list", "--best", "sharpe:max", "--per", "ticker")
    assert best["path"] == A

    # Delete one that is in an ensemble: from the disk, its ensemble and the registry at once.
    before = (root / A).read_bytes()
    says(root, "rm", A)
    assert not (root / A).exists()
    assert not (root / AVERAGE / "a.h5").exists()
    assert members(root) == {(B, "ensemble_average", 1)}
    assert {row["path"] for row in says(root, "list")} == {B, G, NEW}
    assert verbs(root, A)[-2:] == ["deleted", "unensembled"]

    # Take that back.
    says(root, "restore", A)
    assert (root / A).read_bytes() == before == (root / AVERAGE / "a.h5").read_bytes()
    assert members(root) == {(A, "ensemble_average", 1), (B, "ensemble_average", 1)}
    assert verbs(root, A) == [
        "registered", "ensembled", "recorded", "deleted", "unensembled", "restored", "pinned",
        "ensembled",
    ]  # fmt: skip
    (result,) = says(root, "show", A)["results"]
    assert (result["value"], result["current"]) == (1.31, True)

    # The parameters needed to build the same model again.
    for path, model in trained.items():
        assert_built_again(root, path, model)
    assert says(root, "reconcile", "--dry-run")["changes"] == []


def assert_built_again(root: Path, path: str, model: Any) -> None:
    """From the registry alone: the same layers and sizes, compiled with the same Adam."""
    query = (
        "SELECT architecture.config, adam_opt.* FROM model"
        " JOIN architecture USING (architecture_id) JOIN adam_opt USING (optimizer_id)"
        " WHERE path = ? AND state = 'present'"
    )
    (told,) = rows(root, query, path)
    again = keras.Sequential.from_config(json.loads(told["config"])["config"])
    assert again.get_config() == model.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    adam = keras.optimizers.Adam(
        told["learning_rate"],
        beta_1=told["b1"],
        beta_2=told["b2"],
        epsilon=told["epsilon"],
        amsgrad=bool(told["amsgrad"]),
        weight_decay=told["decay"],
    )
    again.compile(adam, "mse")
    built, known = adam.get_config(), model.optimizer.get_config()
    assert built.keys() == known.keys()
    for setting, value in known.items() - {("name", known["name"])}:  # Keras counts its Adams
        same = pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
        assert built[setting] == same, setting
    again.set_weights(model.get_weights())
    assert np.array_equal(again.predict(SERIES, verbose=0), model.predict(SERIES, verbose=0))


def test_the_articles_session_beside_the_daemon_with_cp_mv_and_rm(
    root: Path, trained: dict[str, Any], start_daemon: Callable[..., RunningDaemon], tmp_path: Path
) -> None:
    quick = '[watch]\nsettle = "200ms"\n[schedule]\nreconcile = "off"\nprune = "off"\n'
    daemon = start_daemon(root, settings=quick)
    wait_until(lambda: len(daemon.events("model.registered")) == 3)

    train(root / NEW, 5, 0.02)
    wait_until(lambda: NEW in on_disk(root))

    # cp: two into an ensemble. One is moved in, as the article does it, and copied back.
    (root / AVERAGE).mkdir()
    shutil.copy(root / A, root / AVERAGE)
    shutil.copy(root / B, root / AVERAGE)
    wait_until(lambda: len(daemon.events("ensemble.joined")) == 2)
    assert members(root) == {(A, "ensemble_average", 1), (B, "ensemble_average", 1)}

    for path, sharpe in ((A, 1.31), (B, 0.7), (G, 0.9)):
        says(root, "record", path, f"sharpe={sharpe}")
    assert says(root, "list", "--best", "sharpe:max")[0]["path"] == A

    # rm: a model goes by itself. Its copy is nobody else's to remove, and still bears its name.
    kept = shutil.copy2(root / A, tmp_path / "kept.h5")
    (root / A).unlink()
    wait_until(lambda: daemon.events("model.missing"))
    assert members(root) == {(A, "ensemble_average", 1), (B, "ensemble_average", 1)}

    # mv: it comes back from where it was kept, with all that was said of it.
    shutil.move(kept, root / A)
    wait_until(lambda: daemon.events("model.returned"))
    assert says(root, "list", "--best", "sharpe:max")[0]["path"] == A

    # Trained anew: its copy is out of date.
    train(root / A, 3, 0.05)
    outdated = daemon.wait_for("ensemble.outdated")
    assert (outdated["path"], outdated["copy_path"]) == (A, f"{AVERAGE}/a.h5")
    assert members(root) == {(A, "ensemble_average", 0), (B, "ensemble_average", 1)}

    # mv: out of the ensemble, and into another.
    (root / f"{PLACE}/ensemble_vote").mkdir()
    (root / AVERAGE / "b.h5").rename(root / f"{PLACE}/ensemble_vote/b.h5")
    wait_until(lambda: members(root) == {(A, "ensemble_average", 0), (B, "ensemble_vote", 1)})

    # The commands beside the daemon: deleted with its copy, restored with it.
    says(root, "rm", B)
    assert not (root / f"{PLACE}/ensemble_vote/b.h5").exists()
    says(root, "restore", B)
    daemon.settle()
    assert members(root) == {(A, "ensemble_average", 0), (B, "ensemble_vote", 1)}
    assert [verb for verb in verbs(root, B) if verb.endswith("ensembled")] == [
        "ensembled", "unensembled", "ensembled", "unensembled", "ensembled",
    ]  # fmt: skip
    says(root, "ensemble", "add", G, "--type", "ensemble_vote")
    daemon.settle()
    assert (G, "ensemble_vote", 1) in members(root)
    (line,) = [line for line in says(root, "history", G) if line["verb"] == "ensembled"]
    assert line["actor"] == person(), "whichever of the two saw it first"
    copied = {f"{AVERAGE}/a.h5", f"{PLACE}/ensemble_vote/a.h5", f"{PLACE}/ensemble_vote/b.h5"}
    assert set(on_disk(root)) == {A, B, G, NEW} | copied
    assert daemon.stop() == 0
    assert not daemon.events("failure.raised")


def like(content: bytes, file: Path, **settings: object) -> None:
    """A file of Keras with other settings of its optimizer; those that are None are left out."""
    file.write_bytes(content)
    with h5py.File(file, "r+") as opened:
        training = json.loads(opened.attrs["training_config"])
        adam = training["optimizer_config"]["config"]
        adam |= settings
        for absent in [name for name, value in settings.items() if value is ...]:
            del adam[absent]
        opened.attrs["training_config"] = json.dumps(training)


RATES = (0.001, 0.0010000000474974513)
"""A learning rate, and what float32 makes of it."""
CLIPS = (None, ...)
"""As JSON's null, and absent."""


COUNT = 1000


def test_a_thousand_models_of_one_adam_share_its_row_however_it_is_written(
    root: Path, saved: Saved
) -> None:
    """Through the files: the rate with 32 or 64 bits, what is not set as null or not at all."""
    place = root / PLACE / "LSTM"
    place.mkdir(parents=True)
    ways = list(itertools.product(RATES, CLIPS))
    kinds = [place.parent / f"kind{number}.tmp" for number in range(len(ways))]
    for kind, (rate, clip) in zip(kinds, ways, strict=True):
        like(saved.h5[0], kind, learning_rate=rate, clipnorm=clip)
    for number in range(COUNT):
        shutil.copy(kinds[number % len(kinds)], place / f"m{number}.h5")
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        shared = "SELECT optimizer_id, count(*) AS models FROM model GROUP BY optimizer_id"
        assert rows(root, shared) == [{"optimizer_id": 1, "models": COUNT}]
        like(saved.h5[0], place / "other.h5", epsilon=1e-3)
        reconcile(reconciler)
        assert [row["epsilon"] for row in rows(root, "SELECT * FROM adam_opt ORDER BY 1")] == [
            pytest.approx(1e-7), pytest.approx(1e-3),
        ]  # fmt: skip
