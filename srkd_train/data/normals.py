# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Normals of the vertices of a triangle mesh."""

import numpy as np
import numpy.typing as npt


def vertex_normals(xyz: npt.NDArray[np.float32], faces: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Unit normals, each the mean of the normals of the triangles around a vertex weighted by their areas.

    The cross product of two edges is the normal times twice the area, so adding cross products does the weighting.
    Which side is outside follows from the order of the corners (right-hand rule).

    Args:
        xyz: (N, 3) vertices.
        faces: (F, 3) vertices of each triangle.

    Returns:
        (N, 3) float32; zero at a vertex without a triangle of any area.
    """
    corners = xyz.astype(np.float64)[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack([np.bincount(faces.ravel(), np.repeat(cross[:, axis], 3), len(xyz)) for axis in range(3)], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.divide(total, length, out=np.zeros_like(total), where=length > 0).astype(np.float32)
