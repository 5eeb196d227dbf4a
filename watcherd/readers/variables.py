"""What a complete checkpoint tells about its model, from its index and a few of its scalars."""

import struct
from collections.abc import Iterable, Iterator, Mapping

from watcherd.plan import Description, Optimizer
from watcherd.readers import census, graph, optimizers
from watcherd.readers.census import Census
from watcherd.readers.index import DTYPES, Index, Variable
from watcherd.readers.tally import steps, tally
from watcherd.readers.wire import Malformed

_GRAPH_LIMIT = 64 << 20
"""Bytes of an object graph; thousands of variables take less than 1 MB."""
_SCALAR_LIMIT = 8

Held = Mapping[str, bytes]
"""Variable -> its bytes, of those that were read from the shards."""


def telling(contents: Index) -> list[Variable]:
    """The variables to read: step counters, an optimizer's settings, and the object graph."""
    taken = census.take(contents.variables)
    names = [name for group in taken.counters() for name in group]
    names += taken.settings().values()
    if taken.learner() is not None or taken.is_export():
        names.append(graph.KEY)
    found = (contents.variables[name] for name in names if name in contents.variables)
    return [variable for variable in found if _is_small(variable)]


def describe(contents: Index, held: Held) -> Description:
    """Everything that is known of the model; ``held`` may lack what could not be read."""
    taken = census.take(contents.variables)
    weights = _weights(taken, contents, held)
    total = tally((dtype, each.elements) for each in weights if (dtype := _dtype(each)))
    values = dict(_values(contents, held))
    return Description(
        parameters=total.parameters,
        variables=len(contents.variables),
        dtype=total.dtype,
        step=_step(taken, values),
        optimizer=_optimizer(taken, values, held),
    )


def _is_small(variable: Variable) -> bool:
    limit = _GRAPH_LIMIT if variable.name == graph.KEY else _SCALAR_LIMIT
    return variable.elements == 1 and 0 < variable.size <= limit


def _dtype(variable: Variable) -> str | None:
    """Its name; None for strings and resources, which are no numbers."""
    name = DTYPES.get(variable.dtype, ("", "", 0))[0]
    return None if name == "string" else name or None


def _weights(taken: Census, contents: Index, held: Held) -> list[Variable]:
    """The model's own weights, without the seeds that only the object graph tells in an export."""
    weights = [contents.variables[name] for name in taken.weights()]
    if not taken.is_export():
        return weights
    whole = [each.name for each in weights if "int" in (_dtype(each) or "")]
    own = _own_names(whole, held.get(graph.KEY, b""))
    return [each for each in weights if census.SEEDS not in own.get(each.name, "")]


def _own_names(names: Iterable[str], tensor: bytes) -> dict[str, str]:
    """Variable -> its own name, of those that have one.

    A graph that cannot be read names none; nothing else depends on it.
    """
    try:
        nodes = graph.unpacked(tensor)
        return {name: own for name in names if (own := graph.own_name(nodes, name))}
    except Malformed:
        return {}


def _values(contents: Index, held: Held) -> Iterator[tuple[str, float]]:
    """Each scalar that was read, as a number."""
    for name, data in held.items():
        form = DTYPES.get(contents.variables[name].dtype, ("", "", 0))[1]
        if form:
            yield name, struct.unpack(contents.byteorder + form, data)[0]


def _step(taken: Census, values: Mapping[str, float]) -> int | None:
    """The first counter that has moved: a loss-scaling optimizer's own stays at 0, for one."""
    groups = ([steps(values.get(name)) for name in group] for group in taken.counters())
    told = [[count for count in group if count is not None] for group in groups]
    counts = [max(group) for group in told if group]
    return next((count for count in counts if count > 0), 0 if counts else None)


def _optimizer(taken: Census, values: Mapping[str, float], held: Held) -> Optimizer | None:
    """None unless its type can be named: rather nothing than a guess."""
    if taken.object_based:
        kind = _kind(taken, held.get(graph.KEY, b""))
    else:
        kind = census.type_of_tf1(taken.slots_of_tf1())
    settings = {key: values[name] for key, name in taken.settings().items() if name in values}
    return optimizers.of(kind, settings) if kind else None


def _kind(taken: Census, tensor: bytes) -> str | None:
    """The optimizer's type, from the own names of its variables, which begin with its name."""
    owned = _own_names(taken.state(), tensor).values()
    kinds = (optimizers.known_type(own.partition("/")[0]) for own in owned)
    return next((kind for kind in kinds if kind), None)
