# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labelled clouds from above, with a legend: one cloud; truth, prediction and errors; truth and several predictions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.labels import IGNORE, LabelScheme
from srkd_train.panels import UNLABELLED, Panel, class_colors, compose
from srkd_train.raster import Image, render

_CORRECT = (66, 82, 108)
_WRONG = (255, 64, 84)


def bird_eye(
    xyz: npt.NDArray[np.float32],
    class_id: npt.NDArray[np.uint8],
    scheme: LabelScheme,
    path: str | os.PathLike[str] | None = None,
    *,
    size_px: int = 1000,
    half_extent_m: float = 50.0,
    title: str = "",
) -> Image:
    """Draws a cloud from above in the colours of its classes, with a legend of the classes that occur.

    Args:
        xyz: (N, 3) metres, x forward, y left, z up; what is not finite or outside is left out.
        class_id: (N,) uint8; class 255 is dim.
        path: where to write a PNG, or None.
        size_px: width and height of the panel; the picture is larger by its margins and legend.
        half_extent_m: half the side of the square that is shown, centred on the sensor.
        title: a line above.

    Returns:
        The picture, (height, width, 3) uint8.

    Raises:
        CloudError: the arrays do not match.
        SrkdError: matplotlib is not installed.
    """
    _check(xyz, class_id)
    image = render(xyz, class_colors(scheme)[class_id], class_id != IGNORE, size_px, half_extent_m)
    shares = _shares(class_id, scheme)
    entries = [(index, f"{100 * share:.1f} %") for index, share in shares]
    note = f"{len(xyz):,} points".replace(",", " ")
    return compose([Panel(title or scheme.name, note, image)], entries, scheme, path, half_extent_m)


def comparison(
    xyz: npt.NDArray[np.float32],
    truth: npt.NDArray[np.uint8],
    prediction: npt.NDArray[np.uint8],
    scheme: LabelScheme,
    path: str | os.PathLike[str] | None = None,
    *,
    size_px: int = 760,
    half_extent_m: float = 50.0,
    text_scale: float = 1.0,
) -> Image:
    """Draws truth, prediction and errors side by side; the legend has the IoU of each class that occurs in this cloud.

    Points without a true class are dim in the first and last panel and do not count.

    Args:
        xyz: (N, 3) metres, x forward, y left, z up.
        truth: (N,) uint8 true classes, 255 for none.
        prediction: (N,) uint8.
        path: where to write a PNG, or None.
        size_px: width and height of a panel.
        half_extent_m: half the side of the square that is shown.
        text_scale: of all text, for pictures that will be shown smaller than they are.

    Returns:
        The picture, (height, width, 3) uint8.

    Raises:
        CloudError: the arrays do not match.
        SrkdError: matplotlib is not installed.
    """
    _check(xyz, truth)
    _check(xyz, prediction)
    colors = class_colors(scheme)
    known = truth != IGNORE
    wrong = known & (truth != prediction)
    iou = _iou(truth[known], prediction[known], scheme.num_classes)
    errors = np.where(wrong[:, None], _WRONG, np.where(known[:, None], _CORRECT, UNLABELLED)).astype(np.uint8)
    count = max(int(known.sum()), 1)
    mean = float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")
    rate = 100 * int(wrong.sum()) / count
    views = ((colors[truth], known), (colors[prediction], prediction != IGNORE), (errors, wrong))
    images = [render(xyz, color, front, size_px, half_extent_m) for color, front in views]
    panels = [
        Panel("truth", f"{len(xyz):,} points".replace(",", " "), images[0]),
        Panel("prediction", f"mIoU {100 * mean:.1f} %", images[1]),
        Panel("errors", f"{rate:.1f} % of points", images[2]),
    ]
    entries = [(index, f"IoU {100 * iou[index]:.1f} %") for index, _ in _shares(truth, scheme)]
    return compose(panels, entries, scheme, path, half_extent_m, text_scale)


def side_by_side(
    xyz: npt.NDArray[np.float32],
    truth: npt.NDArray[np.uint8],
    predictions: Mapping[str, npt.NDArray[np.uint8]],
    scheme: LabelScheme,
    path: str | os.PathLike[str] | None = None,
    *,
    size_px: int = 620,
    half_extent_m: float = 50.0,
) -> Image:
    """Draws truth and several predictions side by side, each with its mIoU in this cloud; the legend has the classes.

    Args:
        xyz: (N, 3) metres, x forward, y left, z up.
        truth: (N,) uint8 true classes, 255 for none.
        predictions: title to (N,) uint8.
        path: where to write a PNG, or None.
        size_px: width and height of a panel.
        half_extent_m: half the side of the square that is shown.

    Returns:
        The picture, (height, width, 3) uint8.

    Raises:
        CloudError: the arrays do not match.
        SrkdError: matplotlib is not installed.
    """
    colors, known = class_colors(scheme), truth != IGNORE
    panels = []
    for title, class_id in {"truth": truth, **predictions}.items():
        _check(xyz, class_id)
        image = render(xyz, colors[class_id], class_id != IGNORE, size_px, half_extent_m)
        note = f"{len(xyz):,} points".replace(",", " ")
        if title != "truth":
            iou = _iou(truth[known], class_id[known], scheme.num_classes)
            note = f"mIoU {100 * float(np.nanmean(iou)):.1f} %" if np.isfinite(iou).any() else ""
        panels.append(Panel(title, note, image))
    entries = [(index, f"{100 * share:.1f} %") for index, share in _shares(truth, scheme)]
    return compose(panels, entries, scheme, path, half_extent_m)


def _check(xyz: npt.NDArray[Any], class_id: npt.NDArray[Any]) -> None:
    if xyz.ndim != 2 or xyz.shape[1] < 3 or class_id.shape != (len(xyz),) or class_id.dtype != np.uint8:
        raise CloudError(
            f"xyz {xyz.shape}, classes {class_id.dtype} {class_id.shape}; expected (N, 3) and uint8 (N,) of the same N"
        )


def _shares(class_id: npt.NDArray[np.uint8], scheme: LabelScheme) -> list[tuple[int, float]]:
    counts = np.bincount(class_id, minlength=256)[: scheme.num_classes]
    total = max(int(counts.sum()), 1)
    return [(int(index), counts[index] / total) for index in np.argsort(-counts, kind="stable") if counts[index]]


def _iou(truth: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.float64]:
    """IoU of each class, NaN where it is in neither."""
    hit = np.bincount(truth[truth == prediction], minlength=256)[:classes].astype(np.float64)
    union = np.bincount(truth, minlength=256)[:classes] + np.bincount(prediction, minlength=256)[:classes] - hit
    return np.divide(hit, union, out=np.full(classes, np.nan), where=union > 0)
