# SPDX-License-Identifier: Apache-2.0
"""What runs the parts, collects their samples and writes results, report and plots."""
from .bench import Bench, BenchError

__all__ = ["Bench", "BenchError"]
