"""Opens models with TensorFlow, one after the other: the script of a process of its own.

    python opener.py [module:Name]...

Another interpreter may run it, with an older Python and Keras 2: nothing but the standard library,
TensorFlow and h5py, and no syntax newer than Python 3.7. A line of JSON on standard output says
which TensorFlow it is; then each line on standard input is a question, and is answered by a line.
Files are only read, and nothing of what a model brings along is executed but ``custom_objects``.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import inspect
import json
import os
import resource
import signal
import sys
import zipfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPENED, FAILED, UNCLEAR, DENIED = "opened", "failed", "unclear", "denied"

_SET_PDEATHSIG = 1
"""prctl(2), PR_SET_PDEATHSIG."""
_SHORT_OF_MEMORY = ("bad_alloc", "emory allocation failed", "annot allocate memory", "Bad address")
"""Of C++, HDF5, and errno(3); the last where TensorFlow reads a checkpoint into what it could not
allocate."""
_LINE = 300
"""Characters of an error that are passed on."""


class Unclear(Exception):
    """A reason for which TensorFlow cannot be asked."""


class Damaged(Exception):
    """What of a model cannot be read, and why."""


def main() -> None:
    """Answer questions until there are no more, or the one who asks is gone."""
    questions, answers = _private_pipes()
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
    try:
        import tensorflow as tf

        judge = f"TensorFlow {tf.__version__}, Keras {_keras_version(tf)}"
        objects = dict(map(_imported, sys.argv[1:]))
    except Exception as error:  # noqa: BLE001  whatever is broken in there, it is told
        _say(answers, {"error": _told(error)})
        return
    # Else each collection would walk a million objects of TensorFlow's: half a second.
    gc.freeze()
    _say(answers, {"judge": judge})
    for line in questions:
        _say(answers, _answer(tf, objects, json.loads(line)))
        tf.keras.backend.clear_session()
        gc.collect()


def _private_pipes() -> Any:
    """The pipes to the one who asks; what else is printed or read in here is not about them."""
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return questions, answers


def _say(answers: Any, said: dict[str, Any]) -> None:
    answers.write(json.dumps(said) + "\n")
    answers.flush()


def _imported(named: str) -> tuple[str, Any]:
    module, name = named.split(":")
    try:
        return name, getattr(importlib.import_module(module), name)
    except Exception as error:
        raise ImportError(f"verify.custom_objects: {named}: {_told(error)}") from error


def _keras_version(tf: Any) -> str:
    """Keras 2 names it ``__version__`` as Keras 3 does; of TensorFlow's own copy it is its."""
    return str(getattr(tf.keras, "__version__", tf.__version__))


def _answer(tf: Any, objects: dict[str, Any], question: dict[str, Any]) -> dict[str, Any]:
    """``question``: ``folder`` with the links, ``format``, ``custom_objects`` that the file names,
    ``architectures`` (id -> config), ``seconds`` of processor time and ``bytes`` of memory that it
    may take."""
    _allow(question["seconds"], question["bytes"])
    folder = question["folder"]
    try:
        _touch(folder)
    except OSError as error:
        return {"answer": DENIED, "reason": _told(error)}
    try:
        return {"answer": OPENED, **_OPENERS[question["format"]](tf, objects, question, folder)}
    except Unclear as error:
        return {"answer": UNCLEAR, "reason": str(error)}
    except Damaged as error:
        return {"answer": FAILED, "reason": str(error)}
    except Exception as error:  # noqa: BLE001  damage makes Keras raise anything
        unasked = _unasked(tf, objects, question, error)
        return {"answer": UNCLEAR if unasked else FAILED, "reason": unasked or _told(error)}


def _unasked(tf: Any, objects: dict[str, Any], question: dict[str, Any], error: Any) -> str | None:
    """What an error tells against our question; None where it tells against the model."""
    if _lacks_memory(tf, error):
        most = question["bytes"] // 1_000_000
        return f"there is too little memory, of which it may take {most:,} MB: {_told(error)}"
    lacking = ", ".join(_lacking(tf, objects, question["custom_objects"]))
    if lacking:
        return f"Keras does not know {lacking}: name what it needs in verify.custom_objects"
    return None


def _allow(seconds: int, size: int) -> None:
    """So much processor time and memory from now on: the limits count a process's whole life."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + seconds)
    _limit(resource.RLIMIT_DATA, _held() + size)


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (soft, hard))


def _held() -> int:
    """Bytes of what RLIMIT_DATA counts, private writable memory (proc_pid_statm(5), ``data``)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[5]) * resource.getpagesize()


def _lacks_memory(tf: Any, error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, comes of too little memory."""
    short = (MemoryError, tf.errors.ResourceExhaustedError)
    while error is not None:
        if isinstance(error, short) or any(sign in str(error) for sign in _SHORT_OF_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _touch(folder: str) -> None:
    """See whether every file is there and may be read."""
    for place, _, names in os.walk(folder):
        for name in names:
            os.close(os.open(os.path.join(place, name), os.O_RDONLY | os.O_NONBLOCK))


def _lacking(tf: Any, objects: dict[str, Any], named: list[str]) -> list[str]:
    """What of the classes that a file names nobody has brought."""
    known = {*objects, *tf.keras.utils.get_custom_objects()}
    return [name for name in named if name not in known and name.split(">")[-1] not in known]


def _told(error: BaseException) -> str:
    """An error in one line. Keras puts what happened behind its own summary, and a config."""
    text = str(error)
    _, _, inner = text.rpartition("Exception encountered: ")
    lines = [line.strip() for line in (inner or text).splitlines() if line.strip()]
    said = (lines[0] if lines else "")[:_LINE]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


# What opening means, by format. Each returns what else is to be told.


def _whole(tf: Any, objects: dict[str, Any], question: dict[str, Any], folder: str) -> Any:
    """A whole Keras model: its architecture is built, its weights are loaded."""
    zipped = question["format"] == "keras"
    path = os.path.join(folder, "model.keras" if zipped else "model.h5")
    _refuse_lambda(_config_in_zip(path) if zipped else _config_in_hdf5(path))
    load = tf.keras.models.load_model
    # Keras before 2.13 has no safe mode, and its HDF5 reader had none until 3.11: see above.
    safe = {"safe_mode": True} if "safe_mode" in inspect.signature(load).parameters else {}
    load(path, compile=False, custom_objects=objects, **safe)
    return {}


def _config_in_zip(path: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json").decode())


def _config_in_hdf5(path: str) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        config = file.attrs["model_config"]
    return json.loads(config.decode() if isinstance(config, bytes) else config)


def _refuse_lambda(config: Any) -> None:
    """A Lambda layer is code in the file, which building the model would execute."""
    nodes = [config]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            if any(str(node.get(key)) in _CODE for key in ("class_name", "registered_name")):
                raise Unclear("it holds a Lambda layer, whose code is not run for this")
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)


_CODE = {"Lambda", "Keras>Lambda", "__lambda__"}


def _weights(tf: Any, objects: dict[str, Any], question: dict[str, Any], folder: str) -> Any:
    """Weights alone: all are read, and loaded into the first architecture that takes them."""
    import h5py

    def read(_: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset):
            one[()]

    with h5py.File(os.path.join(folder, "model.h5"), "r") as file:
        file.visititems(read)
        is_old = "layer_names" in file.attrs or "layer_names0" in file.attrs
    path = os.path.join(folder, "model.h5" if is_old else "model.weights.h5")
    for number, config in question["architectures"].items():
        if _takes(tf, objects, json.loads(config), path):
            return {"architecture_id": int(number)}
    return {}


def _takes(tf: Any, objects: dict[str, Any], config: Any, path: str) -> bool:
    """Whether an architecture takes the weights: as many numbers are no proof of it."""
    try:
        _refuse_lambda(config)
        name = config["class_name"]
        kind = tf.keras.Sequential if name == "Sequential" else objects.get(name, tf.keras.Model)
        kind.from_config(config["config"], custom_objects=objects).load_weights(path)
    except Exception:  # noqa: BLE001  as above; another architecture may take them
        return False
    return True


def _checkpoint(tf: Any, objects: dict[str, Any], question: dict[str, Any], folder: str) -> Any:
    """Every variable is read, by which its checksum is compared."""
    _read_variables(tf, os.path.join(folder, "model"))
    return {}


def _checkpoint_v1(tf: Any, objects: dict[str, Any], question: dict[str, Any], folder: str) -> Any:
    """The same; several shards have a pattern for their name."""
    path = os.path.join(folder, "model")
    _read_variables(tf, path if os.path.exists(path) else path + "-?????-of-?????")
    return {}


def _read_variables(tf: Any, prefix: str) -> None:
    reader = tf.train.load_checkpoint(prefix)
    for name in reader.get_variable_to_shape_map():
        try:
            reader.get_tensor(name)
        except Exception as error:
            if _lacks_memory(tf, error):
                raise
            raise Damaged(f"{name}: {_told(error)}") from error


def _saved_model(tf: Any, objects: dict[str, Any], question: dict[str, Any], folder: str) -> Any:
    """Its graphs are built, and its variables read. A SavedModel is a program, which may write
    files as soon as it is loaded: nothing of it is run."""
    from tensorflow.python.saved_model.loader_impl import parse_saved_model

    path = os.path.join(folder, "model")
    for graph in parse_saved_model(path).meta_graphs:
        with tf.Graph().as_default():
            try:
                tf.graph_util.import_graph_def(graph.graph_def, name="")
            except (tf.errors.NotFoundError, ValueError) as error:
                if "Op type not registered" in str(error):
                    raise Unclear("TensorFlow lacks an operation: " + _told(error)) from error
                raise
    variables = os.path.join(path, "variables", "variables")
    if os.path.exists(variables + ".index"):
        _read_variables(tf, variables)
    return {}


_OPENERS = {
    "h5": _whole,
    "keras": _whole,
    "weights_h5": _weights,
    "checkpoint": _checkpoint,
    "checkpoint_v1": _checkpoint_v1,
    "saved_model": _saved_model,
}


if __name__ == "__main__":
    # Nothing in the folder of this script may be taken for a module of somebody's own.
    if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    main()
