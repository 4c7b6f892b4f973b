# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label files in the data sets' own formats: one raw id a point, in the order of the cloud file.

SemanticKITTI (any scheme of 32 bits): `NAME.label`, uint32. nuScenes: `NAME_lidarseg.bin`, uint8, ids 0 to 31 of the
full table. All others: `NAME.npy`, uint8.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.io.atomic import write_atomic
from srkd.io.npy import load_npy
from srkd.labels import LabelScheme


def label_suffix(scheme: LabelScheme) -> str:
    """What the name of a label file ends with: `.label`, `_lidarseg.bin` or `.npy`."""
    if scheme.raw_bits == 32:
        return ".label"
    return "_lidarseg.bin" if scheme.name == "nuscenes" else ".npy"


def label_path(folder: str | os.PathLike[str], cloud: str | os.PathLike[str], scheme: LabelScheme) -> Path:
    """Where the labels of a cloud file go in a folder: its name less the suffix, and the scheme's `label_suffix`."""
    return Path(folder) / f"{cloud_stem(cloud)}{label_suffix(scheme)}"


def cloud_stem(cloud: str | os.PathLike[str]) -> str:
    """The name of a cloud file less its suffix, nuScenes' double one whole."""
    name = Path(cloud).name
    return name[: -len(".pcd.bin")] if name.endswith(".pcd.bin") else Path(name).stem


def write_labels(path: str | os.PathLike[str], class_id: npt.NDArray[np.uint8], scheme: LabelScheme) -> None:
    """Writes class ids as raw ids, in full or not at all. Class 255 becomes the scheme's unlabelled id.

    Args:
        path: ends with `label_suffix(scheme)`; an existing file is replaced.
        class_id: (N,) uint8.

    Raises:
        CloudError: another suffix, or a class id that is not in the scheme.
        OSError: the file cannot be written.
    """
    suffix = label_suffix(scheme)
    if not os.fspath(path).endswith(suffix):
        raise CloudError(f"{path}: labels of scheme {scheme.name} go to *{suffix}; rename the output")
    raw = scheme.to_raw(class_id)
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, raw)
        write_atomic(path, (buffer.getbuffer(),))
    else:
        write_atomic(path, (raw.astype(raw.dtype.newbyteorder("<")).tobytes(),))


def read_raw_labels(
    path: str | os.PathLike[str], scheme: LabelScheme, count: int | None = None
) -> npt.NDArray[np.uint32]:
    """Reads a label file of `label_suffix(scheme)`: (N,) uint32 as in the file, instance ids included.

    Args:
        count: the number of points of the cloud, where known.

    Raises:
        CloudError: the file is missing, cut off, of another type, or does not hold `count` labels.
    """
    try:
        if label_suffix(scheme) == ".npy":
            array = load_npy(path)
            if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any():
                raise CloudError(f"{path}: {array.dtype} {array.shape}, expected labels, integers (N,) from 0")
            raw = array.astype(np.uint32)
        else:
            data = Path(path).read_bytes()
            if len(data) % (scheme.raw_bits // 8):
                raise CloudError(
                    f"{path}: {len(data)} bytes, expected a multiple of {scheme.raw_bits // 8}; it is cut off"
                )
            raw = np.frombuffer(data, f"<u{scheme.raw_bits // 8}").astype(np.uint32)
    except OSError as error:
        raise CloudError(
            f"{path}: cannot be read ({error.strerror}); labels of scheme {scheme.name} are needed"
        ) from None
    if count is not None and len(raw) != count:
        raise CloudError(f"{path}: {len(raw)} labels, but the cloud has {count} points; they must be of the same scan")
    return raw


def read_labels(path: str | os.PathLike[str], scheme: LabelScheme, count: int | None = None) -> npt.NDArray[np.uint8]:
    """Reads a label file as (N,) uint8 class ids, 255 where ignored.

    Raises:
        CloudError: as for `read_raw_labels`, or a raw id is not in the scheme.
    """
    raw = read_raw_labels(path, scheme, count)
    try:
        return scheme.from_raw(raw)
    except CloudError as error:
        raise CloudError(f"{path}: {error}") from None
