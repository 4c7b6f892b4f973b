# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Message types in bags: where their definitions are from, and objects to bytes and back, without ROS."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from srkd.errors import BagError

_RULE = "=" * 80 + "\n"
IDL_HEAD = f"{_RULE}IDL: "
"""What a definition begins with that is in IDL rather than in the .msg format."""
_NUMPY_OF_BYTES = {"byte": "uint8", "char": "uint8", "octet": "uint8"}


@dataclass(frozen=True)
class TypeDefinition:
    """What a bag says of a message type.

    Args:
        name: e.g. "sensor_msgs/msg/PointCloud2".
        text: its .msg file and those of all types that it uses, as bags hold them.
        digest: its RIHS01 hash, or "".
    """

    name: str
    text: str
    digest: str


def rosbags_missing(error: ImportError) -> BagError:
    """The error to raise where rosbags, or a part of it, cannot be imported."""
    return BagError(f"bags need the package {error.name or 'rosbags'!r}: pip install '.[bags]' in the source folder")


@lru_cache(maxsize=256)
def store_from_bag(definition: TypeDefinition) -> Any:
    """The rosbags typestore of one type, from the definition in a bag.

    Raises:
        BagError: the definition is damaged, incomplete, or not the one that the hash is of.
    """
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    try:
        if definition.text.startswith(IDL_HEAD):
            for part in definition.text.split(_RULE)[1:]:
                store.register(get_types_from_idl(part.partition("\n")[2]))
        else:
            store.register(get_types_from_msg(definition.text, definition.name))
        found = store.hash_rihs01(definition.name)
    except Exception as error:  # whatever a parser of foreign text may raise
        raise BagError(f"type {definition.name}: its definition in the bag is damaged ({_one_line(error)})") from None
    if definition.digest and definition.digest != found:
        raise BagError(f"type {definition.name}: its definition in the bag does not fit its hash {definition.digest}")
    return store


@lru_cache(maxsize=256)
def installed_store(name: str) -> Any:
    """The rosbags typestore of one type, from the .msg files that are installed here or, failing that, from rosbags.

    Raises:
        BagError: neither knows the type.
    """
    from rosbags.typesys import Stores, get_typestore

    known = get_typestore(Stores.LATEST)
    types: dict[str, Any] = {}
    open_names = [name]
    while open_names:
        each = open_names.pop()
        if each in types:
            continue
        own = _installed_types(each)
        if each not in own and each not in known.fielddefs:
            raise BagError(
                f"type {each}: no definition found; install its package, so that share/{each.partition('/')[0]}/msg"
                " is in AMENT_PREFIX_PATH or in this environment"
            )
        types[each] = own.get(each) or known.fielddefs[each]
        open_names += _used_types(types[each])
    store = get_typestore(Stores.EMPTY)
    store.register({each: types[each] for each in types.keys() - store.fielddefs.keys()})
    return store


def define(store: Any, name: str) -> TypeDefinition:
    """The definition to write into a bag of a type that a typestore holds."""
    return TypeDefinition(name, store.generate_msgdef(name, ros_version=2)[0], store.hash_rihs01(name))


def serialize(store: Any, name: str, message: Any) -> bytes:
    """The little-endian CDR bytes of an object that has the attributes of the ROS type, e.g. one of rclpy's.

    Raises:
        BagError: an attribute is missing or of another type.
    """
    try:
        return bytes(store.serialize_cdr(_build(store, name, message), name, little_endian=True))
    except Exception as error:  # rosbags has generated code here; what it raises depends on the value
        raise BagError(f"message of type {name}: {_one_line(error)}; expected the attributes of that type") from None


def _installed_types(name: str) -> Mapping[str, Any]:
    """Parsed .msg file of a type by the type's name, or nothing where none is installed."""
    from rosbags.typesys import TypesysError, get_types_from_msg

    parts = name.split("/")
    if len(parts) != 3 or parts[1] != "msg":
        return {}
    for prefix in (*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix):
        path = Path(prefix, "share", parts[0], "msg", f"{parts[2]}.msg")
        if prefix and path.is_file():
            try:
                types: Mapping[str, Any] = get_types_from_msg(path.read_text(encoding="utf-8"), name)
                return types
            except (TypesysError, UnicodeDecodeError, OSError):
                return {}
    return {}


def _used_types(fields: Any) -> Iterator[str]:
    from rosbags.interfaces import Nodetype

    for _, (kind, detail) in fields[1]:
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, detail = detail[0]
        if kind == Nodetype.NAME:
            yield detail


def _build(store: Any, name: str, message: Any) -> Any:
    """rosbags' own object of a type with the values of another, arrays as numpy has them."""
    values = {field: _convert(store, kind, getattr(message, field)) for field, kind in store.fielddefs[name][1]}
    return store.types[name](**values)


def _convert(store: Any, kind: Any, value: Any) -> Any:
    from rosbags.interfaces import Nodetype

    node, detail = kind
    if node == Nodetype.BASE:
        return value
    if node == Nodetype.NAME:
        return _build(store, detail, value)
    (element, of), _ = detail
    if element == Nodetype.NAME:
        return [_build(store, of, each) for each in value]
    if of[0] == "string":
        return list(value)
    dtype = np.dtype(_NUMPY_OF_BYTES.get(of[0], of[0]))
    raw = isinstance(value, bytes | bytearray | memoryview)
    return np.frombuffer(value, dtype) if raw else np.asarray(value, dtype)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
