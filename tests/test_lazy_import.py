# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`import srkd` costs nothing until one of its names is used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import srkd


def test_every_public_name_is_there() -> None:
    assert set(srkd.__all__) <= set(dir(srkd))
    for name in srkd.__all__:
        assert getattr(srkd, name) is not None
    assert srkd.Segmenter is importlib.import_module("srkd.segmenter").Segmenter
    assert srkd.IGNORE == 255
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        srkd.nothing  # noqa: B018
    with pytest.raises(ImportError):
        exec("from srkd import nothing")


@pytest.mark.parametrize(
    "code", ["import srkd", "import srkd.errors", "import srkd.io.bags", "import srkd_train.__main__"]
)
def test_importing_it_does_not_import_torch(code: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout == "False\n", ran.stderr
