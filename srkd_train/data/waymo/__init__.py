# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Waymo Open Dataset without TensorFlow and without generated protocol-buffer code."""

from srkd_train.data.waymo.dataset import Waymo

__all__ = ["Waymo"]
