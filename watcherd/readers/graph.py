"""The object graph that TensorFlow 2 stores in a checkpoint beside its variables.

``tensorflow/core/protobuf/trackable_object_graph.proto``: nodes (1), each with children (1) and
attributes (2); an attribute has a name (1), the variable's own name (2) and its checkpoint key (3).
The variable's own name begins with its optimizer's name, which the key does not tell.
"""

from watcherd.readers.wire import Malformed, nested, varint

KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_NODES, _ATTRIBUTES, _FULL_NAME, _CHECKPOINT_KEY = 1, 2, 2, 3
_BYTES = 2


def own_name(graph: bytes, key: str) -> str | None:
    """The own name of the variable with this checkpoint key; None where the graph has no such."""
    wanted = key.encode()
    node = _node_around(graph, graph.find(wanted))
    for attribute in nested(node, _ATTRIBUTES):
        if next(nested(attribute, _CHECKPOINT_KEY), None) == wanted:
            return next(nested(attribute, _FULL_NAME), b"").decode("utf-8", "replace")
    return None


def unpacked(tensor: bytes) -> bytes:
    """The one string of a scalar string tensor: its length, a checksum of the length, its bytes
    (``WriteStringTensor`` of TensorFlow's ``tensor_bundle.cc``)."""
    length, at = varint(tensor, 0)
    text = tensor[at + 4 :]
    if len(text) != length:
        raise Malformed("a string of another length than it says")
    return text


def _node_around(graph: bytes, place: int) -> bytes:
    """The node whose bytes cover a place; empty where there is none.

    A big model has thousands of nodes: only their lengths are read on the way.
    """
    at, length = 0, 0
    while at <= place:
        tag, at = varint(graph, at)
        if tag != _NODES << 3 | _BYTES:
            raise Malformed("an object graph of more than nodes")
        length, at = varint(graph, at)
        if at + length > place:
            return graph[at : at + length]
        at += length
    return b""
