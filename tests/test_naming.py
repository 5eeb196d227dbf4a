"""What names say: parts, state files, placement, and the step and family in a name."""

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest
from google.protobuf import (  # type: ignore[import-untyped]  # it ships no annotations
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)
from hypothesis import assume, example, given
from hypothesis import strategies as st

from watcherd.artifact import Form, Role
from watcherd.naming import (
    Naming,
    PartName,
    StateFile,
    interval_seconds,
    is_ignored_folder,
    is_inside_saved_model,
    is_state_file,
    note_name,
    note_of,
    part_of,
    part_of_v1,
    path_of_latest,
    private_by,
    read_state_file,
    role_in_saved_model,
    temporary_of,
)

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")

HEX = "0123456789abcdef" * 2
H5, CHECKPOINT = Form.HDF5, Form.CHECKPOINT

forms = st.sampled_from(Form)


def corpus_rows() -> list[dict[str, str]]:
    with (CORPUS / "INDEX.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


# Parts


@pytest.mark.parametrize(
    ("name", "artifact", "form", "role"),
    [
        ("lstm.h5", "lstm.h5", H5, Role.H5),
        ("lstm.hdf5", "lstm.hdf5", H5, Role.H5),
        ("LSTM.H5", "LSTM.H5", H5, Role.H5),
        ("a.weights.h5", "a.weights.h5", H5, Role.H5),
        ("카트폴 [64,32]'\n.h5", "카트폴 [64,32]'\n.h5", H5, Role.H5),
        ("cp-0010.ckpt.index", "cp-0010.ckpt", CHECKPOINT, Role.INDEX),
        ("checkpoint.index", "checkpoint", CHECKPOINT, Role.INDEX),
        ("a.data-00000-of-00001", "a", CHECKPOINT, Role.SHARD),
        ("a.data-100000-of-100001", "a", CHECKPOINT, Role.SHARD),
        ("model.ckpt-3000.meta", "model.ckpt-3000", CHECKPOINT, Role.GRAPH),
        ("a\nb.index", "a\nb", CHECKPOINT, Role.INDEX),
        ("a.index.index", "a.index", CHECKPOINT, Role.INDEX),
        ("lstm.keras", "lstm.keras", Form.KERAS, Role.KERAS),
        ("LSTM [1].Keras", "LSTM [1].Keras", Form.KERAS, Role.KERAS),
    ],
)
def test_a_file_name_tells_its_part(name: str, artifact: str, form: Form, role: Role) -> None:
    assert part_of(name) == PartName(artifact, form, role)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "h5",
        ".h5",
        ".index",
        ".hidden.h5",
        ".data-00000-of-00001",
        "a.index.tempstate123456",
        "a.data-00000-of-00001.tempstate9",
        f"checkpoint.tmp{HEX}",
        f"a.index.tmp{HEX}",
        "part-00000-of-00001.index",
        "part-00000-of-00001.data-00000-of-00001",
        "a.data-0000-of-0001",
        "a.data-00000-of-00001\n",
        "a.INDEX",
        "model.h5_graph.png",
        "events.out.tfevents.1476472058.host",
        "events.out.tfevents.1476472058.index",
        "checkpoint",
        "lstm.h5.watcherd.json",
        "saved_model.pb",
        "graph.pbtxt",
        "model.weights.json",
        "latest.weights.h5.bkp",
        "export-00000-of-00001",
        "lstm.h5.bak",
    ],
)
def test_what_is_no_part_of_an_artifact_is_none(name: str) -> None:
    assert part_of(name) is None


@pytest.mark.parametrize(
    ("name", "artifact"),
    [
        ("lstm.h5.watcherd.json", "lstm.h5"),
        ("cp-1.watcherd.json", "cp-1"),
        ("a b [1].keras.watcherd.json", "a b [1].keras"),
        ("m.watcherd.json.watcherd.json", "m.watcherd.json"),
        (".watcherd.json", None),
        (".m.h5.watcherd.json", None),
        ("lstm.h5.json", None),
        ("lstm.h5", None),
    ],
)
def test_a_notes_name_tells_its_artifact(name: str, artifact: str | None) -> None:
    assert note_of(name) == artifact
    assert artifact is None or note_name(artifact) == name


@pytest.mark.parametrize(
    ("name", "artifact"),
    [
        ("export", "export"),
        ("model.ckpt-3000", "model.ckpt-3000"),
        ("export-00000-of-00002", "export"),
        ("model.ckpt-3000-00001-of-00002", "model.ckpt-3000"),
        ("a b [1]-00000-of-00001", "a b [1]"),
    ],
)
def test_a_v1_file_is_known_by_the_graph_beside_it(name: str, artifact: str) -> None:
    assert part_of_v1(name, {artifact}) == PartName(artifact, CHECKPOINT, Role.SHARD_V1)
    assert part_of_v1(name, {"another"}) is None


@pytest.mark.parametrize(
    ("folder", "name", "role"),
    [
        ("", "saved_model.pb", Role.SAVED_MODEL),
        ("", "saved_model.pbtxt", Role.SAVED_MODEL),
        ("", "keras_metadata.pb", Role.KERAS_METADATA),
        ("", "fingerprint.pb", Role.FINGERPRINT),
        ("", "notes.txt", None),
        ("", "variables.index", None),
        ("variables", "variables.index", Role.INDEX),
        ("variables", "variables.data-00000-of-00002", Role.SHARD),
        ("variables", "variables.h5", None),
        ("variables", "other.index", None),
        ("assets", "vocabulary.txt", Role.ASSET),
        ("assets", "vocabulary.h5", Role.ASSET),
        ("assets.extra", "x", Role.ASSET),
    ],
)
def test_what_a_file_is_to_a_saved_model(folder: str, name: str, role: Role | None) -> None:
    assert role_in_saved_model(name, folder) is role


def test_a_saved_models_variables_are_no_checkpoint() -> None:
    part = part_of("variables.index")
    assert part
    assert is_inside_saved_model("variables", part)
    assert not is_inside_saved_model("models", part)
    other = part_of("model.index")
    assert other
    assert not is_inside_saved_model("variables", other)


def test_what_backup_and_restore_writes_is_known_by_the_file_beside_it() -> None:
    assert "training_metadata.json" in private_by("latest.weights.h5")
    assert "training_metadata.json.bkp" in private_by("latest.weights.h5")
    assert private_by("best.weights.h5") == ()


@needs_corpus
def test_every_name_of_the_corpus_is_the_part_that_its_index_says() -> None:
    roles = {
        "index": Role.INDEX,
        "shard": Role.SHARD,
        "meta": Role.GRAPH,
        "hdf5": Role.H5,
        "keras-zip": Role.KERAS,
    }
    for row in corpus_rows():
        name = row["path"].rpartition("/")[2]
        part = part_of(name)
        # HDF5 under the name .keras is told by its content, not here.
        expected = Role.KERAS if name.endswith(".keras") else roles.get(row["role"])
        assert (part and part.role) == expected, row["path"]


def test_a_temporary_folder_names_the_prefix_whose_save_is_under_way() -> None:
    assert temporary_of("cp-1_temp") == "cp-1"
    assert temporary_of(f"cp-1_temp_{HEX}") == "cp-1"
    assert temporary_of("a_temp_temp") == "a_temp"
    for name in ("_temp", "cp-1", "cp-1_temp_", "cp-1_temp_2", f"cp-1_temp_{HEX.upper()}"):
        assert temporary_of(name) is None, name


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        (".watcherd", True),
        ("a_temp", True),
        (f"a_temp_{HEX}", True),
        ("10.orbax-checkpoint-tmp-1700000000", True),
        ("lost+found", True),
        ("LSTM", False),
        ("temp", False),
        ("a_temp_2", False),
        ("variables", False),
    ],
)
def test_folders_that_never_hold_artifacts_are_ignored(name: str, ignored: bool) -> None:
    assert is_ignored_folder(name) is ignored


def test_state_files_go_by_the_names_of_the_settings() -> None:
    assert is_state_file("checkpoint", ("checkpoint", "latest"))
    assert not is_state_file("checkpoint.index", ("checkpoint",))


# Ignored paths


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("1h/BTC/LSTM/a.h5", None),
        ("1h/BTC/LSTM/model_temp.index", None),
        (".watcherd/trash/a.h5", ".*"),
        ("1h/.git/a.h5", ".*"),
        ("1h/a_temp", "*_temp"),
        ("1h/a_temp/x/a.h5", "*_temp"),
        ("1h/BTC/old_1/deep/a.h5", "old_*"),
        ("1h/BTC/LSTM/old_a.h5", "old_*"),
        ("1h/BTC/LSTM/OLD_a.h5", None),
        ("1h/TEST9/LSTM/a.h5", "/1h/TEST*"),
        ("4h/1h/TEST9/a.h5", None),
        ("1h", None),
        ("4h/x/GRU/a.h5", "4h/*/GRU"),
        ("4h/x/y/GRU/a.h5", None),
        ("4h/scratch/a.h5", "scratch/"),
    ],
)
def test_a_path_is_ignored_by_the_first_pattern_that_it_or_a_folder_above_fits(
    path: str, pattern: str | None
) -> None:
    naming = Naming(ignore=("old_*", "/1h/TEST*", "4h/*/GRU", "scratch"))
    assert naming.ignores(path) == (pattern.rstrip("/") if pattern else None)


# State files


@pytest.mark.parametrize(
    ("text", "latest", "every"),
    [
        (b'model_checkpoint_path: "cp.ckpt"', "cp.ckpt", ()),
        (b'model_checkpoint_path:"a"all_model_checkpoint_paths : "b"', "a", ("b",)),
        (b"model_checkpoint_path: '/tmp/x y/a'", "a", ()),
        (b'model_checkpoint_path: "runs/1/a"', "a", ()),
        (b'model_checkpoint_path: "C:\\\\src\\\\tf\\\\model"', "model", ()),
        (b'model_checkpoint_path: "\\\\\\\\host\\\\share\\\\model"', "model", ()),
        (b'model_checkpoint_path: "a\\\\b"', "a\\b", ()),
        (b'model_checkpoint_path: "/t/model-3-?????-of-00002"', "model-3", ()),
        (b'model_checkpoint_path: "\\353\\252\\250\\353\\215\\270-7"', "모델-7", ()),
        ('model_checkpoint_path: "모델-7"'.encode(), "모델-7", ()),
        (b'model_checkpoint_path: "\\x61\\"\\\'\\n\\?"', "a\"'\n?", ()),
        (b'model_checkpoint_path: "ab" \'cd\'\n  "ef"', "abcdef", ()),
        (b'# model_checkpoint_path: "old"\nmodel_checkpoint_path: "new"', "new", ()),
        (b'note: "model_checkpoint_path: \'x\'" model_checkpoint_path: "a"', "a", ()),
        (b'model_checkpoint_path: "a" model_checkpoint_path: "b"', "b", ()),
        (b'model_checkpoint_path: "a"\nall_model_checkpoint_paths: "a', "a", ()),
        (b'last_preserved_timestamp: 1.5e9\nmodel_checkpoint_path: "a"', "a", ()),
        (b'model_checkpoint_path: "\xff"', "\udcff", ()),
        (b'model_checkpoint_path: ""', None, ()),
        (b'model_checkpoint_path: "folder/"', None, ()),
        (b'model_checkpoint_path: ".."', None, ()),
        (b"model_checkpoint_path: a", None, ()),
        (b"", None, ()),
        (b"\x82\xa4tree\xc4\x00", None, ()),
        (b'my_model_checkpoint_path: "a"', None, ()),
    ],
)
def test_a_state_file_names_prefixes_in_its_own_folder(
    text: bytes, latest: str | None, every: tuple[str, ...]
) -> None:
    assert read_state_file(text) == StateFile(latest, every)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b'model_checkpoint_path: "run/a"\nall_model_checkpoint_paths: "run/b"', "run/a"),
        (b'model_checkpoint_path: "/t/model-3-?????-of-00002"', "/t/model-3"),
        (b'model_checkpoint_path: "C:\\\\src\\\\model"', "C:/src/model"),
        (b'model_checkpoint_path: "a" model_checkpoint_path: "b/c"', "b/c"),
        (b'all_model_checkpoint_paths: "a"', None),
        (b"\x82\xa4tree\xc4\x00", None),
    ],
)
def test_what_is_resumed_from_may_lie_elsewhere(text: bytes, path: str | None) -> None:
    assert path_of_latest(text) == path


def _checkpoint_state() -> type:
    """The message of checkpoint_state.proto, without loading TensorFlow."""
    file = descriptor_pb2.FileDescriptorProto(name="state.proto", package="t", syntax="proto3")
    message = file.message_type.add(name="CheckpointState")
    string = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    message.field.add(name="model_checkpoint_path", number=1, type=string, label=1)
    message.field.add(name="all_model_checkpoint_paths", number=2, type=string, label=3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.CheckpointState"))
    return found


CheckpointState = _checkpoint_state()

prefixes = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1)


@given(latest=prefixes, every=st.lists(prefixes), folder=st.sampled_from(["", "/a b/", "x/"]),
       utf8=st.booleans())  # fmt: skip
def test_what_protobuf_writes_is_read_back(
    latest: str, every: list[str], folder: str, utf8: bool
) -> None:
    names = [latest, *every]
    other = re.compile(r"[A-Za-z]:[\\]|\\\\|\.\.?\Z|.*-\?+-of-", re.DOTALL)  # Windows; V1 shards
    assume(not any(other.match(name) for name in names))
    state = CheckpointState(
        model_checkpoint_path=folder + latest,
        all_model_checkpoint_paths=[folder + name for name in every],
    )
    text = text_format.MessageToString(state, as_utf8=utf8).encode()
    assert read_state_file(text) == StateFile(latest, tuple(every))


@given(st.binary() | st.lists(st.sampled_from([b'"', b"'", b"\\", b"#", b"\n", b":", b" ",
       b"model_checkpoint_path", b"all_model_checkpoint_paths", b"x"])).map(b"".join))  # fmt: skip
def test_junk_never_raises(text: bytes) -> None:
    read_state_file(text)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text", [b'"' + b'\\"' * 500_000, b"a" * 1_000_000, b"model_checkpoint_path:" * 40_000]
)
def test_a_megabyte_of_junk_is_read_in_no_time(text: bytes) -> None:
    assert read_state_file(text) == StateFile()


@needs_corpus
def test_the_state_files_of_the_corpus_read_as_protobuf_reads_them() -> None:
    seen = 0
    for row in corpus_rows():
        if row["kind"] == "ckpt-state":
            content = (CORPUS / row["path"]).read_bytes()
            truth = text_format.Parse(content.decode(), CheckpointState()).model_checkpoint_path
            name = re.split(r"[/\\]", truth)[-1].removesuffix("-?????-of-00001")
            assert read_state_file(content).latest == name, row["path"]
            seen += 1
    assert seen >= 10


# Placement


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("15m", 900),
        ("1h", 3600),
        ("4h", 14400),
        ("1H", 3600),
        ("1d", 86400),
        ("1w", 604800),
        ("1M", 30 * 86400),
        ("30s", 30),
        ("0m", None),
        ("h", None),
        ("60", None),
        ("1.5h", None),
        ("-1h", None),
        ("1h\n", None),
        ("daily", None),
        ("١h", None),
        ("9" * 5000 + "h", None),
    ],
)
def test_an_interval_is_a_duration(word: str, seconds: int | None) -> None:
    assert interval_seconds(word) == seconds


@pytest.mark.parametrize(
    ("path", "form", "interval", "ticker", "kind", "model_name"),
    [
        ("1h/BTC/LSTM/a.h5", H5, "1h", "BTC", "LSTM", "a"),
        ("1h/BTC/LSTM/a.weights.h5", H5, "1h", "BTC", "LSTM", "a"),
        ("1h/BTC/LSTM/weights.h5", H5, "1h", "BTC", "LSTM", "weights"),
        ("1h/BTC/LSTM/a.HDF5", H5, "1h", "BTC", "LSTM", "a"),
        ("1M/BTC/LSTM/run 1/cp-1.h5", H5, "1M", "BTC", "LSTM", "run 1/cp-1"),
        ("1h/BTC/LSTM/cp.ckpt", CHECKPOINT, "1h", "BTC", "LSTM", "cp.ckpt"),
        ("1h/BTC/LSTM/a.h5", CHECKPOINT, "1h", "BTC", "LSTM", "a.h5"),
        ("1h/BTC\n/[카]/a.h5", H5, "1h", "BTC\n", "[카]", "a"),
    ],
)
def test_the_folders_of_a_path_place_its_model(
    path: str, form: Form, interval: str, ticker: str, kind: str, model_name: str
) -> None:
    placed = Naming().place(path, form)
    assert (placed.interval, placed.ticker, placed.type) == (interval, ticker, kind)
    assert placed.interval_seconds == interval_seconds(interval)
    assert (placed.model_name, placed.ensemble_type, placed.unplaced) == (model_name, None, None)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a.h5", "{interval}/{ticker}/{type} needs 3 folders, it lies in 0"),
        ("1h/BTC/a.h5", "{interval}/{ticker}/{type} needs 3 folders, it lies in 2"),
        ("daily/BTC/LSTM/a.h5", "'daily' is no interval such as 15m, 1h, 4h, 1d, 1w or 1M"),
        ("1h/BTC/MLP/a.h5", "type 'MLP' is none of models.types: LSTM, GRU"),
    ],
)
def test_a_path_that_fits_no_layout_is_unplaced_with_the_reason(path: str, reason: str) -> None:
    placed = Naming(types=("LSTM", "GRU")).place(path, H5)
    assert placed.unplaced == reason
    assert placed.model_name == path.removesuffix(".h5")
    assert (placed.interval, placed.interval_seconds) == (None, None)
    assert (placed.ticker, placed.type) == (None, None)


def test_an_ensemble_folder_is_no_type_whatever_types_are_accepted() -> None:
    placed = Naming(types=("LSTM",)).place("1h/BTC/Ensemble_best/a.h5", H5)
    assert (placed.interval, placed.ticker, placed.type) == ("1h", "BTC", None)
    assert (placed.ensemble_type, placed.unplaced) == ("Ensemble_best", None)


def test_accepted_types_ignore_case() -> None:
    assert Naming(types=("LSTM",)).place("1h/BTC/lstm/a.h5", H5).type == "lstm"


@pytest.mark.parametrize(
    ("layouts", "path", "placed"),
    [
        (["{interval}/{ticker}/{type}", "{ticker}/{interval}/{type}"], "BTC/1h/LSTM/a.h5",
         ("1h", "BTC", "LSTM", "a")),
        (["{ticker}/{interval}"], "BTC/1h/LSTM/a.h5", ("1h", "BTC", None, "LSTM/a")),
        (["prod/{ticker}_{interval}"], "prod/BTC_1h/a.h5", ("1h", "BTC", None, "a")),
        (["{}/{type}"], "anyone/LSTM/a.h5", (None, None, "LSTM", "a")),
        (["/{type}/"], "LSTM/a.h5", (None, None, "LSTM", "a")),
        (["prod/{type}"], "PROD/LSTM/a.h5", (None, None, None, "PROD/LSTM/a")),
    ],
)  # fmt: skip
def test_the_first_layout_that_fits_places(
    layouts: list[str], path: str, placed: tuple[str | None, ...]
) -> None:
    found = Naming(layouts=tuple(layouts)).place(path, H5)
    assert (found.interval, found.ticker, found.type, found.model_name) == placed


def test_the_reasons_of_all_layouts_are_given() -> None:
    naming = Naming(layouts=("{interval}/{type}", "prod/{type}"))
    reason = naming.place("x/y/a.h5", H5).unplaced
    assert reason is not None
    assert "'x' is no interval" in reason
    assert "folder 'x' is no prod of prod/{type}" in reason


@pytest.mark.parametrize(
    ("layout", "complaint"),
    [
        ("", "missing between two slashes"),
        ("{interval}//{type}", "missing between two slashes"),
        ("models", "names none of"),
        ("{interval}/{tickr}", "{tickr} is none of {interval}, {ticker}, {type}"),
        ("{type}/{type}", "more than once"),
        ("{interval", "expected '}'"),
        ("{type:q}", "'q' not recognised"),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(layout: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Naming(layouts=(layout,))


# The step in a name, by careful defaults


@pytest.mark.parametrize(
    ("form", "name", "family", "step"),
    [
        (H5, "cp-0010.h5", "cp-*.h5", 10),
        (H5, "cp-12345.h5", "cp-*.h5", 12345),
        (H5, "weights.03-0.52.hdf5", "weights.*-*.hdf5", 3),
        (H5, "weights-improvement-05-0.87.hdf5", "weights-improvement-*-*.hdf5", 5),
        (H5, "lstm_epoch10_units64.h5", "lstm_epoch*_units64.h5", 10),
        (H5, "Epoch_7.weights.h5", "Epoch_*.weights.h5", 7),
        (H5, "ep5.h5", "ep*.h5", 5),
        (H5, "step=500.h5", "step=*.h5", 500),
        (H5, "iter_20.h5", "iter_*.h5", 20),
        (H5, "epoch=3-step=100.h5", "epoch=*-step=*.h5", 100),
        (H5, "epoch_10_lr_0.001.h5", "epoch_*_lr_0.001.h5", 10),
        (H5, "cp-5--0.25.h5", "cp-*-*.h5", 5),
        (CHECKPOINT, "my-model-10000", "my-model-*", 10000),
        (CHECKPOINT, "model.ckpt-00000010", "model.ckpt-*", 10),
        (CHECKPOINT, "cp-0010.ckpt", "cp-*.ckpt", 10),
        (CHECKPOINT, "cp_10.ckpt", "cp_*.ckpt", 10),
        (CHECKPOINT, "ckpt-9", "ckpt-*", 9),
        (CHECKPOINT, "ckpt11", "ckpt*", 11),
        (CHECKPOINT, "epoch_5-1000", "epoch_*-*", 1000),
        (CHECKPOINT, "모델 [a]'\n-7", "모델 [a]'\n-*", 7),
        (CHECKPOINT, "a*b\\c-7", "a\\*b\\\\c-*", 7),
        (CHECKPOINT, "model_1501651698-500", "model_1501651698-*", 500),
    ],
)
def test_a_number_that_surely_counts_is_the_step(
    form: Form, name: str, family: str, step: int
) -> None:
    read = Naming().read_name(f"1h/BTC/{name}", form)
    assert (read.family, read.step) == (f"1h/BTC/{family}", step)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (H5, "lstm-64.h5"),
        (H5, "lstm_128.h5"),
        (H5, "my_model_v2.h5"),
        (H5, "0.9479_1.9483_51.6406.h5"),
        (H5, "ml-1m_GMF_8_1501651698.h5"),
        (H5, "ml-1m_MLP_[64,32,16,8]_1501652038.h5"),
        (H5, "deep_sarsa_1000.h5"),
        (H5, "cp_backup1000-v0.h5"),
        (H5, "fer2013_mini_XCEPTION.102-0.66.hdf5"),
        (H5, "weights_64_lstm.h5"),
        (H5, "weights_1501651698.h5"),
        (H5, "weights-20240115.h5"),
        (H5, "lstm_time_step_60.h5"),
        (H5, "max_epoch-50.h5"),
        (H5, "timesteps_20.h5"),
        (H5, "epochs_50.h5"),
        (H5, "epoch_10k.h5"),
        (H5, "epoch_0.5.h5"),
        (H5, "weights.0.52.h5"),
        (H5, "weights_5_dropout_0.2.h5"),
        (H5, "deep10.h5"),
        (CHECKPOINT, "checkpoint"),
        (CHECKPOINT, "cp.ckpt"),
        (CHECKPOINT, "modelr1.ckpt"),
        (CHECKPOINT, "lstm-1e-05"),
        (CHECKPOINT, "lstm-fold-3"),
        (CHECKPOINT, "seed-42"),
        (CHECKPOINT, "model-2024-01-15"),
        (CHECKPOINT, "model-20240115"),
        (CHECKPOINT, "model-20240115-103000"),
        (CHECKPOINT, "model-1501651698"),
        (CHECKPOINT, "model-1501651698123"),
        (CHECKPOINT, "model-1.5"),
        (CHECKPOINT, "model-" + "9" * 5000),
    ],
)
def test_a_number_that_may_mean_something_else_is_no_step(form: Form, name: str) -> None:
    read = Naming().read_name(f"1h/BTC/{name}", form)
    assert (read.family, read.step, read.metrics) == (f"1h/BTC/{name}", None, {})


def test_a_metric_behind_the_step_is_recorded_only_by_its_name() -> None:
    named = Naming().read_name("epoch_3-val_loss=0.52_acc0.9.h5", H5)
    assert (named.family, named.metrics) == (
        "epoch_*-val_loss=*_acc*.h5",
        {"val_loss": 0.52, "acc": 0.9},
    )
    assert Naming().read_name("cp-3-0.52.h5", H5).metrics == {}
    assert Naming().read_name("cp-3-loss1.5e999.h5", H5).metrics == {}


def test_names_that_differ_in_case_folder_or_suffix_are_strangers() -> None:
    names = ["a/cp-1.h5", "a/CP-1.h5", "b/cp-1.h5", "a/cp-1.hdf5", "a/cp-1.H5", "a/cp_1.h5"]
    assert len({Naming().read_name(name, H5).family for name in names}) == len(names)


WORDS = [
    "cp", "ckpt", "checkpoint", "weights", "epoch", "ep", "step", "iter", "iteration", "model",
    "lstm", "time", "max", "fold", "val_loss", "loss", "acc", "lr", "v", "e", "2024", "1501651698",
    ".ckpt", "*", "\\", "\\*", "\n", "모델", "[", "]", "'",
]  # fmt: skip
fragments = (
    st.sampled_from(WORDS)
    | st.sampled_from(list("-_.= "))
    | st.integers(0, 99_999).map(str)
    | st.floats(-9, 9).map("{:.2f}".format)
)
names = st.lists(fragments, min_size=1, max_size=9).map("".join)
stepped_names = st.tuples(
    st.just("") | names.map("{}_".format),
    st.sampled_from(["-", "x-", "epoch_", "cp-", "step", "ckpt.", "iter=", "weights.", "EP"]),
    st.integers(0, 99_999).map(str),
    st.sampled_from(["", "", ".ckpt", "-0.52", "_loss0.5", "-64", "_x"]),
).map("".join)


def _refilled(name: str, family: str, number: str) -> str:
    """The name with another number for each mark of its family that is a whole number."""
    pieces = [
        re.sub(r"\\([*\\])", r"\1", piece)
        for piece in re.findall(r"((?:[^*\\]|\\.)*)(?:\*|\Z)", family, re.DOTALL)
    ]
    pieces = pieces[: -1 if len(pieces) > 1 and not pieces[-1] and family[-1:] != "*" else None]
    between = r"(-?[0-9]+(?:\.[0-9]+)?)"
    found = re.fullmatch(between.join(map(re.escape, pieces)), name)
    assert found, (name, family)
    marks = [number if mark.isdigit() else mark for mark in found.groups()]
    return pieces[0] + "".join(a + b for a, b in zip(marks, pieces[1:], strict=True))


@given(name=stepped_names, form=forms, number=st.integers(0, 9_999_999), width=st.integers(1, 8))
@example(name="cp-0009.ckpt", form=CHECKPOINT, number=12345, width=1)
@example(name="step_5-7", form=CHECKPOINT, number=2024, width=1)
def test_another_step_is_the_same_family(name: str, form: Form, number: int, width: int) -> None:
    path = name + (".h5" if form is H5 else "")
    read = Naming().read_name(path, form)
    assume(read.step is not None)
    again = Naming().read_name(_refilled(path, read.family, f"{number:0{width}d}"), form)
    assert (again.family, again.step) == (read.family, number)


@given(st.lists(names, min_size=2, max_size=20), forms)
@example(["cp-5*", "cp-*5", "cp-*", "cp-5"], CHECKPOINT)
@example(["model-\\*", "model-*", "model-7", "model-\\7"], CHECKPOINT)
def test_names_that_differ_in_more_than_numbers_never_share_a_family(
    some: list[str], form: Form
) -> None:
    families = defaultdict(set)
    for name in some:
        text = re.sub(r"-*[0-9]+(?:\.[0-9]+)?", "#", name)
        families[Naming().read_name(name, form).family].add(text)
    assert all(len(texts) == 1 for texts in families.values()), families


@given(names, forms)
def test_a_name_without_step_is_a_family_of_its_own(name: str, form: Form) -> None:
    read = Naming().read_name(name, form)
    if read.step is None:
        assert re.sub(r"\\([*\\])", r"\1", read.family) == name
        assert not read.metrics


@given(path=st.text(min_size=1), form=forms)
def test_no_name_raises(path: str, form: Form) -> None:
    naming = Naming(names=("{}-{epoch:d}-{loss}", "{step}{val_loss:.1f}"), ignore=("[a", "x/*"))
    part_of(path)
    temporary_of(path)
    naming.ignores(path)
    naming.place(path, form)
    naming.read_name(path, form)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["-0.5", "-val_a", "epoch_", "-1", "1", "_", "2024-", "cp-1-0.5"])
def test_the_longest_names_are_read_in_no_time(piece: str) -> None:
    name = (piece * 255)[:254] + "x"
    naming = Naming(names=("{a}-{b}_{epoch:d}.h5",))
    for form in Form:
        for _ in range(50):
            naming.read_name(name, form)


@needs_corpus
def test_steps_of_the_corpus() -> None:
    """Of all its names, these alone say a step; the rest are families of their own."""
    steps = {}
    for row in corpus_rows():
        part = part_of(row["path"].rpartition("/")[2])
        if part:
            read = Naming().read_name(part.artifact, part.form)
            assert (read.family == part.artifact) is (read.step is None)
            if read.step is not None:
                steps[part.artifact] = read.step
    assert steps == {f"model.ckpt-{step}": step for step in (1, 1000, 1001, 3000)}


# Templates


@pytest.mark.parametrize(
    ("template", "name", "family", "step", "metrics"),
    [
        ("cp-{epoch:04d}.ckpt", "cp-0010.ckpt", "cp-*.ckpt", 10, {}),
        ("cp-{epoch:04d}.ckpt", "cp-12345.ckpt", "cp-*.ckpt", 12345, {}),
        ("runs/{ticker}/cp-{epoch:04d}.ckpt", "cp-0010.ckpt", "cp-*.ckpt", 10, {}),
        ("w.{epoch:02d}-{val_loss:.2f}.h5", "w.03-0.52.h5", "w.*-*.h5", 3, {"val_loss": 0.52}),
        ("w.{epoch:02d}-{val_loss:.2f}.h5", "w.03--1.50.h5", "w.*-*.h5", 3, {"val_loss": -1.5}),
        ("w.{epoch:02d}-{val_loss:.2f}.h5", "w.03-nan.h5", "w.*-*.h5", 3, {}),
        ("w{epoch}-{loss}.h5", "w3-1.5e-05.h5", "w*-*.h5", 3, {"loss": 1.5e-05}),
        ("w{epoch:4d}.h5", "w   3.h5", "w*.h5", 3, {}),
        ("{epoch:02d}-{batch:05d}.h5", "03-00100.h5", "*-*.h5", 3, {}),
        ("{epoch:d}_{step:d}.h5", "3_700.h5", "*_*.h5", 700, {}),
        ("{}.{epoch:02d}-{val_acc:.2f}.hdf5", "fer2013_mini_XCEPTION.102-0.66.hdf5",
         "fer2013_mini_XCEPTION.*-*.hdf5", 102, {"val_acc": 0.66}),
        ("lstm-{units:d}-{epoch:d}.h5", "lstm-64-7.h5", "lstm-64-*.h5", 7, {}),
        ("{name:s}-{epoch}.h5", "a-b-7.h5", "a-b-*.h5", 7, {}),
        ("{{x}}{epoch}*.h5", "{x}7*.h5", "{x}*\\*.h5", 7, {}),
        ("{epoch}-{epoch}.h5", "7-7.h5", "*-*.h5", 7, {}),
        ("epoch_{units:d}.h5", "epoch_64.h5", "epoch_64.h5", None, {}),
        ("x{epoch}.h5", "x1501651698.h5", "x*.h5", 1501651698, {}),
    ],
)  # fmt: skip
def test_a_template_reads_names_backwards(
    template: str, name: str, family: str, step: int | None, metrics: dict[str, float]
) -> None:
    read = Naming(names=(template,)).read_name(f"1h/{name}", H5)
    assert (read.family, read.step, dict(read.metrics)) == (f"1h/{family}", step, metrics)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("a{epoch:04d}.h5", "a123.h5"),
        ("a{epoch:d}.h5", "A7.h5"),
        ("a{epoch:d}.h5", "a0x10.h5"),
        ("a{epoch:d}.h5", "a" + "9" * 30 + ".h5"),
        ("a{loss:.2f}.h5", "a0.5.h5"),
        ("a{epoch:d}", "a7.h5"),
    ],
)
def test_a_name_that_a_template_would_not_write_is_read_by_the_defaults(
    template: str, name: str
) -> None:
    read = Naming(names=(template,)).read_name(name, H5)
    assert (read.family, read.step) == (name, None)


def test_the_first_template_that_fits_reads_a_name() -> None:
    naming = Naming(names=("a-{epoch:04d}.h5", "{x}-{y}.h5", "a-{epoch:d}.h5"))
    assert naming.read_name("a-0007.h5", H5).step == 7
    assert naming.read_name("a-7.h5", H5).step is None


@given(epoch=st.integers(0, 10**12), loss=st.floats(-1e6, 1e6))
@pytest.mark.parametrize(
    "template",
    [
        "w.{epoch:02d}-{val_loss:.2f}.h5",
        "{epoch}_{val_loss}.h5",
        "{epoch:08d}{val_loss:+.3e}.h5",
        "{val_loss:.0f} {epoch:5d}.h5",
        "{val_loss:08.3f}@{epoch:d}",
    ],
)
def test_whatever_keras_writes_by_a_template_is_read_back(
    template: str, epoch: int, loss: float
) -> None:
    read = Naming(names=(template,)).read_name(template.format(epoch=epoch, val_loss=loss), H5)
    assert read.step == epoch
    assert read.metrics["val_loss"] == pytest.approx(loss, abs=0.51, rel=1e-3)
    assert read.family == re.sub(r"\{.*?\}", "*", template)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("", "no field"),
        ("model.h5", "no field"),
        ("{epoch:02d}/model.h5", "no field such as {epoch} after its last slash"),
        ("cp-{epoch", "expected '}'"),
        ("cp-epoch}", "Single '}'"),
        ("cp-{epoch:q}", "'q' not recognised"),
        ("cp-{epoch:{width}d}", "a field inside a field"),
        ("cp-{epoch:099d}", "more than 18 digits"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Naming(names=(template,))
