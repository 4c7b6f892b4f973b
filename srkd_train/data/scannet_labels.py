# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Raw labels of a ScanNet scan, ids of NYU40: from its labelled mesh, else from its segments and what they are called.

Source: github.com/ScanNet/ScanNet, "Data Organization" and "Data Formats".
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.io.ply import read_ply_columns

LABELS = "_vh_clean_2.labels.ply"
SEGMENTS = "_vh_clean_2.0.010000.segs.json"
AGGREGATION = ".aggregation.json"
CATEGORIES = "scannetv2-labels.combined.tsv"


def read_categories(path: Path) -> dict[str, int]:
    """NYU40 id of each free-text category of the annotators.

    Raises:
        CloudError: the table is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["raw_category"]: int(row["nyu40id"]) for row in csv.DictReader(file, delimiter="\t")}
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); ScanNet's label map is needed") from None
    except (KeyError, TypeError, ValueError, csv.Error):
        raise CloudError(f"{path}: expected a table with raw_category and nyu40id, separated by tabs") from None


def read_labelled_mesh(path: Path, count: int) -> npt.NDArray[Any]:
    """(count,) ids of `*.labels.ply`, one a vertex.

    Raises:
        CloudError: the file is missing or damaged, or has another number of vertices.
    """
    columns = read_ply_columns(path)
    if "label" not in columns:
        raise CloudError(f"{path}: no property label; expected ScanNet's *{LABELS}")
    return _counted(path, columns["label"], count)


def read_segments(stem: Path, categories: dict[str, int], count: int) -> npt.NDArray[Any]:
    """(count,) ids of a scan that has segments (`*.segs.json`) and an aggregation of them to objects.

    A vertex of no object has id 0; where objects share a segment the last one has it.

    Args:
        stem: path of the scan's files without their endings.
        categories: see `read_categories`.
        count: number of vertices.

    Raises:
        CloudError: a file is missing or damaged, or names a category that is not in the table.
    """
    path = stem.with_name(stem.name + SEGMENTS)
    indices = _field(path, "segIndices")
    try:
        segment = np.array(indices, np.int64)
    except (TypeError, ValueError, OverflowError):
        raise CloudError(f"{path}: expected segIndices, one number a vertex") from None
    segment = _counted(path, segment, count)
    path = stem.with_name(stem.name + AGGREGATION)
    names, inverse = np.unique(segment, return_inverse=True)
    label_of_segment = np.zeros(len(names), np.int64)
    try:
        for group in _field(path, "segGroups"):
            if group["label"] not in categories:
                raise CloudError(f"{path}: category {str(group['label'])[:60]!r} is not in {CATEGORIES}")
            label_of_segment[np.isin(names, group["segments"])] = categories[group["label"]]
    except (KeyError, TypeError):
        raise CloudError(f"{path}: expected segGroups with a label and segments each") from None
    return label_of_segment[inverse]


def _counted(path: Path, values: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    if values.shape != (count,) or values.dtype.kind not in "iu":
        raise CloudError(
            f"{path}: {values.shape} of {values.dtype}, expected {count} integers, one a vertex of the mesh"
        )
    return values


def _field(path: Path, key: str) -> list[Any]:
    """A list in a JSON file."""
    try:
        value = json.loads(path.read_bytes())[key]
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); the scan's labels need it") from None
    except (ValueError, KeyError, TypeError):
        raise CloudError(f"{path}: expected JSON with {key}") from None
    if not isinstance(value, list):
        raise CloudError(f"{path}: expected a list {key}")
    return value
