# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Prints the keys of the table VERBS of a Python file as a CMake list, without importing the file."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

for statement in ast.parse(Path(sys.argv[1]).read_text()).body:
    if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == ["VERBS"]:
        sys.stdout.write(";".join(ast.literal_eval(statement.value)))
