# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What this project raises on purpose: one line that names the thing, the value found and the fix."""


class SrkdError(ValueError):
    """An input, file or setting cannot be used; the message is complete without the traceback."""


class CloudError(SrkdError):
    """A point cloud, in memory, in a file or in a message, is malformed or lacks what is asked of it."""


class CheckpointError(SrkdError):
    """A model file cannot be read, or does not fit what it claims to be."""


class ConfigError(SrkdError):
    """A setting, label scheme or description is unknown, out of range or contradictory."""


class TrainingError(SrkdError):
    """A training run cannot go on."""


class BagError(SrkdError):
    """A recording cannot be read or written."""
