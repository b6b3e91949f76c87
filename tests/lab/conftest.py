# SPDX-License-Identifier: BSD-3-Clause
"""Lets pytest run the scenarios as run.py does: a parameter named `bed` is a fresh test bed."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bed import Bed  # noqa: E402


@pytest.fixture
def bed(request):
    with Bed(**getattr(request.function, "bed_options", {})) as ready:
        yield ready
