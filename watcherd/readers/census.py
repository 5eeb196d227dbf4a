"""What a checkpoint's variables are: the model's weights, an optimizer's state, or bookkeeping.

Only their names tell. Object-based checkpoints (``tf.train.Checkpoint``, Keras) name each by its
way through attributes, name-based ones (``tf.compat.v1.train.Saver``) by the variable's own name.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from watcherd.readers import optimizers

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What every variable's name ends in, in an object-based checkpoint."""
_SLOT = "/.OPTIMIZER_SLOT/"
_ITERATIONS = tuple(f"/{name}{VALUE}" for name in ("iter", "iterations", "_iterations"))
_TRAINED = "/_trainable_variables/"
"""Keras 3 optimizers hold on to the weights they train; a weight is named by the shortest way to
it, and that often leads through the optimizer."""
_EXPORTED = "_all_variables/"
"""What Keras 3 exports has all weights twice, the second time under this name."""
_BOOKKEEPING = (
    "save_counter/",
    "step/",
    "global_step/",
    "keras_api/metrics/",
    _EXPORTED,
)
SEEDS = "seed_generator"
_STATE_OF_RNN = re.compile(rf"/states/[0-9]+{re.escape(VALUE)}$")
"""What a stateful layer remembers of the last batch."""

_SLOT_OF_TF1 = re.compile(r"/(Adam|AdaMax|RMSProp|Momentum|Adagrad|Adadelta|Ftrl)(?:_\d+)?$")
_STATE_OF_TF1 = re.compile(
    r"(^|/)(beta[12]_power(_\d+)?|global_step)$"  # AdamOptimizer; get_or_create_global_step
    r"|^training(_\d+)?/"  # Keras' optimizers in a graph
)
_COUNTER_OF_TF1 = re.compile(r"^training(_\d+)?/.*\biter(ations?)?$")

_SETTINGS = (
    "learning_rate",
    "decay",
    "momentum",
    "rho",
    "beta_1",
    "beta_2",
    "epsilon",
    "weight_decay",
    "learning_rate_power",
    "l1_regularization_strength",
    "l2_regularization_strength",
)
"""An optimizer's settings that TensorFlow 2 stores as variables of these names."""


@dataclass(frozen=True, slots=True)
class Census:
    """A checkpoint's variables, by what their names tell."""

    names: Collection[str]
    object_based: bool
    optimizers: tuple[str, ...]
    """The ways to what counts iterations, and to their wrappers; none in name-based ones."""

    def weights(self) -> list[str]:
        """The model's own weights."""
        if self.object_based:
            state = tuple(f"{way}/" for way in self.optimizers)
            return [name for name in self.names if _is_weight(name, state)]
        return [name for name in self.names if not _is_state_of_tf1(name, self.names)]

    def is_export(self) -> bool:
        """Whether Keras 3 exported it, which numbers weights and seeds alike."""
        return any(name.startswith(_EXPORTED) for name in self.names)

    def counters(self) -> list[list[str]]:
        """What counts training steps, the most telling first; ``save_counter`` counts saves."""
        if self.object_based:
            iterations = [name for name in self.names if name.endswith(_ITERATIONS)]
            groups = ([f"global_step{VALUE}"], iterations, [f"step{VALUE}"])
        else:
            iterations = [name for name in self.names if _COUNTER_OF_TF1.search(name)]
            groups = (["global_step"], iterations, [])
        return [[name for name in group if name in self.names] for group in groups]

    def learner(self) -> str | None:
        """The way to the one optimizer that learns, behind its wrappers; None if not just one."""
        ways = self.optimizers
        leaves = [way for way in ways if not any(other.startswith(f"{way}/") for other in ways)]
        return leaves[0] if len(leaves) == 1 else None

    def settings(self) -> dict[str, str]:
        """The learner's settings -> the variables that hold them."""
        way = self.learner()
        if way is None:
            return {}
        held = {key: (f"{way}/{key}{VALUE}", f"{way}/_{key}{VALUE}") for key in _SETTINGS}
        return {key: name for key, both in held.items() for name in both if name in self.names}

    def state(self) -> list[str]:
        """A few of the learner's variables, the surest to bear its name first."""
        way = self.learner()
        if way is None:
            return []
        names = [f"{way}{counter}" for counter in _ITERATIONS]
        names += [f"{way}/_variables/{number}{VALUE}" for number in (1, 2)]
        return [name for name in names if name in self.names]

    def slots_of_tf1(self) -> set[str]:
        """The optimizers whose slots are among the variables, by TensorFlow 1's names."""
        return {match[1] for name in self.names if (match := _SLOT_OF_TF1.search(name))}


def take(names: Collection[str]) -> Census:
    """The census of a checkpoint with variables of these names."""
    counters = (name for name in names if name.endswith(_ITERATIONS))
    ways = {name[: -len(VALUE)].rpartition("/")[0] for name in counters}
    above = {way.rpartition("/")[0] for way in ways}
    wrappers = {way for way in above if way.endswith("optimizer")}
    object_based = any(name.endswith(VALUE) for name in names)
    return Census(names, object_based, tuple(sorted(ways | wrappers)))


def type_of_tf1(slots: Collection[str]) -> str | None:
    """The optimizer's type, if all slots are of one."""
    return optimizers.known_type(next(iter(slots))) if len(slots) == 1 else None


def _is_weight(name: str, state: tuple[str, ...]) -> bool:
    if _SLOT in name or SEEDS in name or _STATE_OF_RNN.search(name):
        return False
    if name.startswith(_BOOKKEEPING):
        return False
    return not name.startswith(state) or _TRAINED in name


def _is_state_of_tf1(name: str, names: Collection[str]) -> bool:
    """An optimizer's state; what is named below another variable can only be a slot of it."""
    return bool(
        _SLOT_OF_TF1.search(name) or _STATE_OF_TF1.search(name) or name.rpartition("/")[0] in names
    )
