# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud files as frames for a bag."""

from __future__ import annotations

from collections.abc import Sequence

from srkd.errors import ConfigError
from srkd_train.bag_sources.source import EPOCH_NS, Frame, Source


def files_source(files: Sequence[str], rate_hz: float) -> Source:
    """Cloud files, or folders of them (.bin .npy .pcd .ply), one after the other.

    Raises:
        ConfigError: the rate is not above 0.
        CloudError: there are no such files.
    """
    from srkd.io.files import find_clouds, read_cloud

    if not rate_hz > 0:
        raise ConfigError(f"rate_hz: {rate_hz}, expected clouds a second, above 0")
    paths = find_clouds(files)
    frames = (Frame(read_cloud(path), EPOCH_NS + round(index / rate_hz * 1e9)) for index, path in enumerate(paths))
    return Source(len(paths), frames, name="files")
