"""Serializers of stored values: LangGraph's, restricted to plain types, and one that compresses."""

import zlib

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

_SMALL = 8_000
"""Bytes of a value that is stored as it is, as what a step writes mostly is."""
_LARGEST = 2**28
"""Bytes of a value that is compressed, so that no damaged file can ask for more memory than that."""
_COMPRESSED = "+zlib"


def strict() -> JsonPlusSerializer:
    """Return LangGraph's serializer, restricted to messages and the plain types of its own safe list."""
    return JsonPlusSerializer(allowed_msgpack_modules=None)


class CompressingSerializer(JsonPlusSerializer):
    """Compresses large values: each checkpoint of a SQLite file holds all messages of its thread."""

    def dumps_typed(self, obj: object) -> tuple[str, bytes]:
        kind, data = super().dumps_typed(obj)
        if _SMALL < len(data) <= _LARGEST:
            return kind + _COMPRESSED, zlib.compress(data, 1)
        return kind, data

    def loads_typed(self, data: tuple[str, bytes]) -> object:
        """Return the value of a kind and bytes.

        Raises:
            ValueError: The bytes are damaged.
        """
        kind, stored = data
        if not kind.endswith(_COMPRESSED):
            return super().loads_typed(data)
        return super().loads_typed((kind.removesuffix(_COMPRESSED), _decompressed(stored)))


def _decompressed(stored: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(stored, _LARGEST)
    except zlib.error as error:
        raise ValueError(f"a compressed value that cannot be read: {error}") from error
    if not unpacker.eof:
        raise ValueError("a compressed value that is cut off or too large")
    return data
