# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The packages of the distribution; everything else about it stands in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["srkd", "srkd.*", "srkd_train", "srkd_train.*", "srkd_ros"]), "srkd_ros.config"],
    package_dir={"srkd_ros.config": "config"},
)
