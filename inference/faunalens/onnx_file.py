"""What an ONNX file holds, read before any runtime sees it: is it one file of standard operators?

A small reader of the protobuf wire format (https://protobuf.dev/programming-guides/encoding), so
that the base install needs no `onnx`. Field numbers are those of onnx.proto (ONNX IR version 10).
"""

from collections.abc import Iterator

from faunalens.errors import ModelError

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
"""Operator sets that every ONNX runtime has; others need code of their own."""

_MAX_DEPTH = 16  # of graphs within nodes within graphs; a network of ours has one
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL = 1  # TensorProto.DataLocation


class _Malformed(Exception):
    """The bytes are not what onnx.proto describes."""


def check_file(content: bytes) -> dict[str, str]:
    """Refuse a file that needs anything but itself and a standard runtime.

    Args:
        content: The whole file.

    Returns:
        Its `metadata_props`.

    Raises:
        ModelError: No ONNX file; operators outside the standard sets, functions of its own, or
            weights that lie in another file.
    """
    properties: dict[str, str] = {}
    found_graph = False
    try:
        for field, value in _fields(memoryview(content)):
            if field == 7:
                found_graph = True
                _check_graph(_message(value), 0)
            elif field == 8:
                _check_domain(_text_field(_message(value), 1))
            elif field == 14:
                entry = _message(value)
                properties[_text_field(entry, 1)] = _text_field(entry, 2)
            elif field in (20, 25):
                what = "training steps" if field == 20 else "functions of its own"
                raise ModelError(f"holds {what}; expected a plain graph of standard operators")
    except (_Malformed, UnicodeDecodeError) as error:
        raise ModelError(f"is not a usable ONNX model: {error}") from error
    if not found_graph:
        raise ModelError("is not a usable ONNX model: it has no graph")
    return properties


def opset_of(content: bytes) -> int:
    """Version of the standard operator set of a file that `check_file` has passed."""
    versions = [0]
    for field, value in _fields(memoryview(content)):
        if field == 8:
            versions += [
                number
                for part, number in _fields(_message(value))
                if part == 2 and isinstance(number, int)
            ]
    return max(versions)


def _check_graph(graph: memoryview, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ModelError(f"nests graphs deeper than {_MAX_DEPTH}; expected a plain network")
    for field, value in _fields(graph):
        if field == 1:
            _check_node(_message(value), depth)
        elif field == 5:
            _check_tensor(_message(value))
        elif field == 15:  # a sparse tensor: its values and its indices
            for part, tensor in _fields(_message(value)):
                if part in (1, 2):
                    _check_tensor(_message(tensor))


def _check_node(node: memoryview, depth: int) -> None:
    for field, value in _fields(node):
        if field == 7:
            _check_domain(str(_message(value), "utf-8"))
        elif field == 5:
            for part, inner in _fields(_message(value)):
                if part in (6, 11):
                    _check_graph(_message(inner), depth + 1)
                elif part in (5, 10):
                    _check_tensor(_message(inner))
                elif part in (22, 23):
                    raise ModelError("holds sparse attributes; expected a plain network")


def _check_tensor(tensor: memoryview) -> None:
    for field, value in _fields(tensor):
        if field == 13 or (field == 14 and value == _EXTERNAL):
            raise ModelError(
                "keeps weights in another file (external data); expected one self-contained file"
            )


def _check_domain(domain: str) -> None:
    if domain not in STANDARD_DOMAINS:
        raise ModelError(
            f"uses operators of {domain!r}; expected standard ONNX operators alone, which every "
            "runtime has"
        )


def _text_field(message: memoryview, wanted: int) -> str:
    found = ""
    for field, value in _fields(message):
        if field == wanted:
            found = str(_message(value), "utf-8")
    return found


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Malformed("a number where a message belongs")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers with their values: numbers as int, all else as bytes, which are not copied."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            number, at = _varint(data, at)
            yield field, number
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise _Malformed(f"unknown wire type {wire} at byte {at}")
        if length > end - at:
            raise _Malformed(f"cut short: {length} bytes announced, {end - at} left")
        yield field, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for place in range(10):
        if at >= len(data):
            raise _Malformed("cut short within a number")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at
    raise _Malformed("a number of more than 10 bytes")
