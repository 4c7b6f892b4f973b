# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing intensities onto a network's scale, and leaving alone what may be right."""

import numpy as np
import pytest

from srkd.cloud import Cloud
from srkd.input_spec import InputSpec
from srkd.intensity import match_intensity

UNIT, BYTE = InputSpec(0.1), InputSpec(0.1, intensity="divide_255")
COUNTS, BLIND = InputSpec(0.1, intensity="tanh"), InputSpec(0.1, ("x", "y", "z"))


def cloud(*intensity: float) -> Cloud:
    return Cloud(np.ones((len(intensity), 3), np.float32), intensity=np.array(intensity, np.float32))


@pytest.mark.parametrize(
    ("spec", "values"),
    [(UNIT, (0, 0.5, 1)), (UNIT, (1.5,)), (BYTE, (0, 40, 255)), (BYTE, (0, 0)), (COUNTS, (0, 3000)), (BLIND, (0, 255))],
    ids=str,
)
def test_what_fits_is_left_alone(spec: InputSpec, values: tuple[float, ...]) -> None:
    given = cloud(*values)
    assert match_intensity(given, spec) == (given, None)


def test_bytes_become_fractions() -> None:
    found, note = match_intensity(cloud(0, 51, 255, 400, -3), UNIT)
    assert found.intensity is not None and found.intensity.dtype == np.float32
    np.testing.assert_allclose(found.intensity, [0, 0.2, 1, 1, 0])
    assert note == "intensity of 0 to 255 divided by 255: the network was trained on 0 to 1"


def test_fractions_become_bytes() -> None:
    found, note = match_intensity(cloud(0, 0.2, 1), BYTE)
    assert found.intensity is not None and found.intensity.dtype == np.float32
    np.testing.assert_allclose(found.intensity, [0, 51, 255])
    assert note == "intensity of 0 to 1 times 255: the network was trained on 0 to 255"


@pytest.mark.parametrize("spec", [UNIT, BYTE, COUNTS])
def test_a_cloud_without_intensity_gets_zeros_and_says_so(spec: InputSpec) -> None:
    found, note = match_intensity(Cloud(np.ones((3, 3), np.float32)), spec)
    assert found.intensity is not None and found.intensity.tolist() == [0, 0, 0] and "no intensity" in str(note)


def test_a_network_that_looks_at_no_intensity_needs_none() -> None:
    given = Cloud(np.ones((3, 3), np.float32))
    assert match_intensity(given, BLIND) == (given, None)


def test_values_that_are_no_numbers_do_not_decide_the_scale() -> None:
    given = cloud(0.5, np.nan, np.inf)
    assert match_intensity(given, UNIT) == (given, None)
    empty = cloud()
    assert match_intensity(empty, UNIT) == (empty, None)
    hopeless = cloud(np.nan)
    assert match_intensity(hopeless, BYTE) == (hopeless, None)


def test_the_rest_of_the_cloud_is_kept() -> None:
    given = Cloud(np.ones((1, 3), np.float32), np.array([200], np.float32), ring=np.array([7]))
    found, _ = match_intensity(given, UNIT)
    assert found.xyz is given.xyz and found.ring is given.ring and given.intensity is not None
    assert given.intensity.tolist() == [200]
