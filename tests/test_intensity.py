# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing intensities onto a network's scale, and leaving alone what may be right."""

import numpy as np
import pytest

from srkd.cloud import Cloud
from srkd.input_spec import InputSpec
from srkd.intensity import match_intensity

UNIT, BYTE = InputSpec(0.1), InputSpec(0.1, intensity="divide_255")
WAYMO, BLIND = InputSpec(0.1, intensity="tanh"), InputSpec(0.1, ("x", "y", "z"))


def cloud(*intensity: float) -> Cloud:
    return Cloud(np.ones((len(intensity), 3), np.float32), intensity=np.array(intensity, np.float32))


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (UNIT, (0, 0.5, 1)),
        (UNIT, (1.5,)),
        (BYTE, (0, 40, 255)),
        (BYTE, (1, 1)),
        (WAYMO, (0.3, 3000)),
        (BLIND, (0, 255)),
    ],
    ids=str,
)
def test_what_fits_is_left_alone(spec: InputSpec, values: tuple[float, ...]) -> None:
    given = cloud(*values)
    assert match_intensity(given, spec) == (given, None)


@pytest.mark.parametrize("spec", [UNIT, WAYMO])
def test_bytes_become_fractions(spec: InputSpec) -> None:
    found, note = match_intensity(cloud(0, 51, 255, -3), spec)
    assert found.intensity is not None and found.intensity.dtype == np.float32
    np.testing.assert_allclose(found.intensity, [0, 0.2, 1, 0], rtol=1e-6)
    assert note == "intensity of 0 to 255 divided by 255: the network was trained on 0 to 1"


@pytest.mark.parametrize(("spec", "scale"), [(UNIT, 255), (WAYMO, 255), (BYTE, 1)])
def test_raw_counts_are_cut_and_named(spec: InputSpec, scale: float) -> None:
    found, note = match_intensity(cloud(0, 51, 300, 6455), spec)
    assert found.intensity is not None
    np.testing.assert_allclose(found.intensity * scale, [0, 51, 255, 255], rtol=1e-6)
    assert note is not None and "counts" in note and "reflectivity" in note


@pytest.mark.parametrize("spec", [UNIT, BYTE, WAYMO])
def test_a_dark_frame_of_bytes_is_still_of_bytes(spec: InputSpec) -> None:
    bright, dark = cloud(*range(256)), cloud(*[0] * 200, 1, 1, 1)
    assert match_intensity(dark, spec)[1] == match_intensity(bright, spec)[1]
    found = match_intensity(dark, spec)[0].intensity
    assert found is not None and float(found.max()) == pytest.approx(1 if spec is BYTE else 1 / 255)


@pytest.mark.parametrize("spec", [UNIT, BYTE])
@pytest.mark.parametrize("outlier", [7.5, 254, 1e6, 3e38, np.inf, -1e30, np.nan])
def test_an_outlier_decides_nothing_and_is_cut(spec: InputSpec, outlier: float) -> None:
    plain = np.linspace(0.01, 0.99, 199)
    expected, note = match_intensity(cloud(*plain), spec)
    found, same_note = match_intensity(cloud(*plain, outlier), spec)
    assert note == same_note and found.intensity is not None and expected.intensity is not None
    np.testing.assert_array_equal(found.intensity[:-1], expected.intensity)
    assert 0 <= found.intensity[-1] <= (255 if spec is BYTE else 2)


@pytest.mark.parametrize("spec", [UNIT, BYTE, WAYMO])
def test_all_zero_cannot_be_mended_and_is_named(spec: InputSpec) -> None:
    found, note = match_intensity(cloud(0, 0, np.nan), spec)
    assert found.intensity is not None and found.intensity.tolist() == [0, 0, 0]
    assert note == "intensity is 0 throughout: expect poorer labels"


def test_fractions_become_bytes() -> None:
    found, note = match_intensity(cloud(0, 0.2, 1), BYTE)
    assert found.intensity is not None and found.intensity.dtype == np.float32
    np.testing.assert_allclose(found.intensity, [0, 51, 255])
    assert note == "intensity of 0 to 1 times 255: the network was trained on 0 to 255"


@pytest.mark.parametrize("spec", [UNIT, BYTE, WAYMO])
def test_a_cloud_without_intensity_gets_zeros_and_says_so(spec: InputSpec) -> None:
    found, note = match_intensity(Cloud(np.ones((3, 3), np.float32)), spec)
    assert found.intensity is not None and found.intensity.tolist() == [0, 0, 0] and "no intensity" in str(note)


def test_a_network_that_looks_at_no_intensity_needs_none() -> None:
    given = Cloud(np.ones((3, 3), np.float32))
    assert match_intensity(given, BLIND) == (given, None)


def test_values_that_are_no_numbers_do_not_decide_the_scale() -> None:
    found, note = match_intensity(cloud(0.5, np.nan, np.inf), UNIT)
    assert found.intensity is not None and found.intensity.tolist() == [0.5, 0, 0] and note is None
    for empty in (cloud(), Cloud(np.empty((0, 3), np.float32))):
        found, note = match_intensity(empty, BYTE)
        assert found.intensity is not None and len(found.intensity) == 0 and note is None


def test_the_rest_of_the_cloud_is_kept() -> None:
    given = Cloud(np.ones((1, 3), np.float32), np.array([200], np.float32), ring=np.array([7]))
    found, _ = match_intensity(given, UNIT)
    assert found.xyz is given.xyz and found.ring is given.ring and given.intensity is not None
    assert given.intensity.tolist() == [200]
