"""Values as a schema registry's serializers frame them: a zero byte, four bytes of schema id, the body.

JSON is read behind the frame. Avro and Protobuf cannot be read without their schemas; they are only distinguished.
"""

from typing import Final

from importance.errors import InvalidEvent

FRAME_BYTES: Final = 5
_JUDGED_BYTES: Final = 4096  # a record may hold hundreds of megabytes, and a field of them two bytes
_REMEDY: Final = "write plain JSON, or use the registry's JSON Schema serializer"
_VARINT_BITS: Final = 64


def unframed(value: bytes) -> bytes:
    r"""Return the JSON text of a value that starts with a zero byte; raises :class:`InvalidEvent` for other formats.

    >>> unframed(b'\x00\x00\x00\x00\x07{"type": "click"}')
    b'{"type": "click"}'
    """
    body = value[FRAME_BYTES:]
    if not body:
        raise InvalidEvent("not_json", "the value starts with a zero byte; an event is one JSON object")
    if body.lstrip(b" \t\r\n")[:1] in (b"{", b"["):
        return body
    kind = "Protobuf" if _is_protobuf(body) else "Avro"
    raise InvalidEvent(f"{kind.lower()}_framed", f"the value holds {kind}, framed by a schema registry: {_REMEDY}")


def _is_protobuf(body: bytes) -> bool:
    """Return whether it starts with message indexes and then complete fields of Protobuf's wire format."""
    try:
        at = _after_message_indexes(body)
        while at < min(len(body), _JUDGED_BYTES):
            at = _after_field(body, at)
    except ValueError:
        return False
    return True


def _after_message_indexes(body: bytes) -> int:
    """Return the position behind the message indexes: a count and as many numbers ≥ 0, as zigzag varints."""
    count, at = _varint(body, 0)
    if count > _JUDGED_BYTES:
        raise ValueError("no type lies so deep")
    for _ in range(count // 2):
        index, at = _varint(body, at)
        count |= index & 1
    if count & 1:
        raise ValueError("a negative number")
    return at


def _after_field(body: bytes, at: int) -> int:
    tag, at = _varint(body, at)
    if tag < 8:
        raise ValueError("field number 0")
    match tag & 7:
        case 0:
            _, end = _varint(body, at)
        case 1:
            end = at + 8
        case 2:
            size, at = _varint(body, at)
            end = at + size
        case 5:
            end = at + 4
        case _:
            raise ValueError("unknown wire type")
    if end > len(body):
        raise ValueError("cut")
    return end


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Return a number and the position behind it."""
    number = 0
    for shift in range(0, _VARINT_BITS, 7):
        if at >= len(body):
            break
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("a varint without end")
