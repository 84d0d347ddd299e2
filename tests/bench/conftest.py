# SPDX-License-Identifier: Apache-2.0
"""The harness is imported from the tree; parts and programs are made up by the tests."""
import os
import sys

import pytest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from bench.harness import Bench  # after the path is set


@pytest.fixture
def root():
    return ROOT


@pytest.fixture
def bench(tmp_path):
    """A Bench in a part; its build directory holds what the test puts there."""
    made = Bench(ROOT, tmp_path / "build", tmp_path / "out")
    made.start("pipeline")
    return made
