# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The middleware profile: found wherever the package is, 64 MiB, and never over the user's own settings."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from srkd_ros.transport import large_cloud_profile, use_large_cloud_profile

VARIABLES = ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"]


def test_profile_gives_shared_memory_64_mib_and_is_the_default_one() -> None:
    root = ElementTree.parse(large_cloud_profile()).getroot()
    names = {"dds": "http://www.eprosima.com"}
    sizes = {
        transport.findtext("dds:type", namespaces=names): transport.findtext("dds:segment_size", namespaces=names)
        for transport in root.iterfind(".//dds:transport_descriptor", names)
    }
    assert sizes == {"SHM": str(64 * 2**20), "UDPv4": None}
    participant = root.find("dds:participant", names)
    assert participant is not None
    assert participant.get("is_default_profile") == "true"


@pytest.mark.parametrize(
    ("distribution", "name"), [(None, VARIABLES[0]), ("kilted", VARIABLES[0]), ("jazzy", VARIABLES[1])]
)
def test_profile_is_set_under_the_name_of_the_distribution(distribution: str | None, name: str) -> None:
    given = {VARIABLES[0]: ""} | ({"ROS_DISTRO": distribution} if distribution else {})
    environment = given.copy()
    use_large_cloud_profile(environment)
    assert environment == given | {name: str(large_cloud_profile())}


@pytest.mark.parametrize("name", [*VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS"])
def test_the_users_own_settings_stay(name: str) -> None:
    environment = {name: "mine"}
    use_large_cloud_profile(environment)
    assert environment == {name: "mine"}
