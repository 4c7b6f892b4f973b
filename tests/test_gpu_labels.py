# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same labels from a GPU as from the CPU, on a made street with the network that the package brings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

import srkd
from srkd.segmenter import Segmenter

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use")

BUNDLED = sorted(Path(srkd.__file__).with_name("weights").glob("*.safetensors"))


def made_street(seed: int) -> npt.NDArray[np.float32]:
    """20 000 points, x y z intensity: ground, two walls, boxes and poles, thinning out with distance."""
    rng = np.random.default_rng(seed)
    count = 5000
    away = rng.uniform(0.02, 1, (2, count)) ** 2 * 40
    turn = rng.uniform(0, 2 * np.pi, count)
    ground = np.stack([away[0] * np.cos(turn), away[0] * np.sin(turn), rng.normal(-1.7, 0.01, count)], axis=1)
    side = rng.choice((-9.0, 11.0), count)
    walls = np.stack([away[1] * rng.choice((-1, 1), count), side, rng.uniform(-1.7, 6, count)], axis=1)
    centre = rng.uniform((-30, -6, -1), (30, 8, -1), (12, 3))[rng.integers(12, size=count)]
    boxes = centre + np.clip(rng.normal(0, 4, (count, 3)), (-2, -0.9, -0.7), (2, 0.9, 0.7))
    foot = rng.uniform((-30, -8, 0), (30, 10, 0), (10, 3))[rng.integers(10, size=count)]
    poles = foot + rng.uniform((-0.08, -0.08, -1.7), (0.08, 0.08, 4), (count, 3))
    xyz = np.concatenate([ground, walls, boxes, poles])
    return np.concatenate([xyz, rng.random((len(xyz), 1))], axis=1).astype(np.float32)


@pytest.mark.parametrize("checkpoint", BUNDLED, ids=lambda path: path.stem)
def test_labels_of_the_gpu_are_those_of_the_cpu(checkpoint: Path) -> None:
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        on_cpu, on_gpu = Segmenter.load(checkpoint, device="cpu"), Segmenter.load(checkpoint, device="cuda")
        for seed in range(3):
            points = made_street(seed)
            points[::97, :3] = np.nan
            expected, found = on_cpu(points), on_gpu(points)
            np.testing.assert_array_equal(found.class_id == 255, expected.class_id == 255)
            assert (found.class_id == expected.class_id).mean() >= 0.999
            assert len(np.unique(expected.class_id)) > 3
            np.testing.assert_allclose(found.probability, expected.probability, atol=5e-3)
            assert np.abs(found.probability - expected.probability).mean() < 1e-4
            np.testing.assert_allclose(found.entropy, expected.entropy, atol=5e-3)
            again = on_gpu(points)
            assert (again.class_id == found.class_id).mean() >= 0.999
            assert on_gpu.last_frame.num_voxels == on_cpu.last_frame.num_voxels
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
