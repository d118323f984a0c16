"""Streams side by side have the bits of each alone with whatever kernels OpenBLAS takes for a processor."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

CHECK = """
from edge.signal.conditioning import Conditioning, block_map
from edge.signal.side_by_side import _filters_stand_alone
for spec in (Conditioning(), Conditioning(mains_hz=None), Conditioning(lowpass_hz=40.0)):
    (rows, inner), n_states = block_map(spec, 250.0, 4)[0].shape, len(block_map(spec, 250.0, 4)[1])
    for n_leads in range(1, 13):
        for n_streams in (1, 2, 5, 8, 64):
            if not _filters_stand_alone(rows, inner, n_states, 4, n_leads, n_streams):
                print(n_states, n_leads, n_streams)
"""


def built_with() -> str:
    """NumPy's BLAS, as its build says."""
    config = np.show_config(mode="dicts")
    assert config is not None
    return str(config["Build Dependencies"]["blas"].get("name", ""))


# Prescott's run on every x86-64; what a processor is taken for by itself differs from what CI may set.
@pytest.mark.parametrize("kernels", ["", "Prescott"])
def test_filters_of_many_streams_have_the_bits_of_each_alone(kernels: str) -> None:
    if "openblas" not in built_with() or platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("known of OpenBLAS on x86-64; of others it is looked at while they run")
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    if kernels:
        environment["OPENBLAS_CORETYPE"] = kernels
    done = subprocess.run(
        [sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "", "states, leads, streams"
