# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussian noise on the input features of a network, to see how well it bears it (SRKD, Table 3)."""

import copy
import math
import zlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.errors import ConfigError
from srkd.input_spec import InputSpec
from srkd.segmenter import Segmenter


@dataclass(frozen=True)
class NoisyInput(InputSpec):
    """An input whose every feature column gets independent noise; voxels are those of the undisturbed cloud.

    The noise of a cloud depends on the seed and on the cloud's coordinates, not on which clouds came before it.
    """

    sigma: float = 0.0
    """Standard deviation, in the units of the features as the network sees them."""
    seed: int = 0

    def make_features(self, cloud: Cloud) -> npt.NDArray[np.float32]:
        """Features (N, C) float32 plus noise; raises what `InputSpec.make_features` does."""
        features = super().make_features(cloud)
        rng = np.random.default_rng((self.seed, zlib.crc32(cloud.xyz.tobytes())))
        return features + np.float32(self.sigma) * rng.standard_normal(features.shape, dtype=np.float32)


def with_noise(segmenter: Segmenter, sigma: float, seed: int) -> Segmenter:
    """A segmenter with the same network that adds noise to its input features.

    Raises:
        ConfigError: sigma or seed is negative or not finite.
    """
    if not (math.isfinite(sigma) and sigma >= 0) or seed < 0:
        raise ConfigError(f"feature noise {sigma} with seed {seed}: give numbers from 0")
    spec = segmenter.header.input
    noisy = copy.copy(segmenter)
    noisy.header = replace(segmenter.header, input=NoisyInput(**vars(spec), sigma=sigma, seed=seed))
    return noisy
