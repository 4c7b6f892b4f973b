# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""NumPy array files as clouds, and their safe loading."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from srkd.cloud import Cloud
from srkd.errors import CloudError
from srkd.io.columns import Array, cloud_from_columns

_COLUMNS = {3: "x y z", 4: "x y z intensity", 5: "x y z intensity ring", 6: "x y z r g b", 9: "x y z r g b nx ny nz"}


def read_npy(path: str | os.PathLike[str]) -> Cloud:
    """Reads a `.npy` array.

    Either (N, 3) x y z, (N, 4) and intensity, (N, 5) and ring, (N, 6) x y z r g b, (N, 9) and normals; or (N,)
    structured with fields x, y, z and others by name.

    Raises:
        CloudError: missing, cut off, damaged or of another shape; the message starts with the path.
    """
    array = load_npy(path)
    if array.dtype.names is not None and array.ndim == 1:
        fields = {name: array[name] for name in array.dtype.names}
        columns = {name: field for name, field in fields.items() if field.ndim == 1 and field.dtype.kind in "fiu"}
    elif array.ndim == 2 and array.shape[1] in _COLUMNS and array.dtype.kind in "fiu":
        columns = {name: array[:, index] for index, name in enumerate(_COLUMNS[array.shape[1]].split())}
    else:
        expected = ", ".join(f"{count} ({names})" for count, names in _COLUMNS.items())
        raise CloudError(f"{path}: {array.dtype} {array.shape}, expected named fields, or rows of {expected} numbers")
    native = {name: column.astype(column.dtype.newbyteorder("=")) for name, column in columns.items()}
    try:
        return cloud_from_columns(native, native.__getitem__)[0]
    except CloudError as error:
        raise CloudError(f"{path}: {error}") from None


def load_npy(path: str | os.PathLike[str]) -> Array:
    """The array of a `.npy` file, its header held against the file's size before memory is taken. Pickles are refused.

    Raises:
        CloudError: missing, cut off, or no array of plain values; the message starts with the path.
    """
    try:
        with Path(path).open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            is_first = version == (1, 0)
            shape, _, dtype = (
                np.lib.format.read_array_header_1_0(stream) if is_first else np.lib.format.read_array_header_2_0(stream)
            )
            found = os.fstat(stream.fileno()).st_size - stream.tell()
            needed = dtype.itemsize * math.prod(shape)
            if dtype.hasobject or dtype.itemsize == 0 or min(shape, default=0) < 0:
                raise CloudError(f"{path}: {str(dtype)[:80]} {shape}, expected numbers; save a numeric array")
            if found < needed:
                raise CloudError(f"{path}: {found} bytes of {dtype} {shape}, expected {needed}; the file is cut off")
            stream.seek(0)
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
            return array
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); give the path of a .npy file") from None
    except CloudError:
        raise
    except Exception as error:  # a damaged header makes numpy raise almost anything
        reason = " ".join(str(error).split())[:80]
        raise CloudError(f"{path}: no .npy file ({reason}); save it with numpy.save") from None
