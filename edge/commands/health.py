"""`leadlift doctor --health`: a line and an exit code for what watches over a container or service."""

from __future__ import annotations

import re
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

import numpy as np

from edge.commands.common import usage
from edge.errors import EngineError, SinkError
from edge.leads import LEADS

SECONDS = 2.0
TIMEOUT_S = 5.0
_RUNNING = re.compile(r"^leadlift_patients_running ([0-9.]+)$", re.MULTILINE)
_MOST_BYTES = 1 << 22


def health(address: str) -> str:
    """What is well, in a line: a reconstruction here, or the run that serves metrics at `address`.

    Raises LeadliftError, saying what is not.
    """
    return _of_run(address) if address else _of_decoder()


def _of_decoder() -> str:
    from edge.reconstructor import Reconstructor
    from firmware_bridge.simulators.ecg import EcgSimulator

    with Reconstructor.open() as reconstructor:
        hz = reconstructor.sampling_hz
        twelve = EcgSimulator(hz).read(round(SECONDS * hz))
        block = reconstructor.push(twelve[[LEADS.index(lead) for lead in reconstructor.leads]])
        if block.n_samples < hz or not np.isfinite(block.ecg_mv).all():
            raise EngineError(
                f"engine {reconstructor.engine.name} gave {block.n_samples} samples, not all numbers: "
                "`leadlift doctor` says what is wrong"
            )
        return f"well: engine {reconstructor.engine.name} reconstructed {SECONDS:g} s"


def _of_run(address: str) -> str:
    from edge.metrics.exporter import parse_address

    with usage():
        host, port = parse_address(address)
    url = f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"
    try:
        opener = build_opener(ProxyHandler({}))  # no proxy has this machine behind it
        with opener.open(url, timeout=TIMEOUT_S) as answer:
            text = answer.read(_MOST_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise SinkError(
            f"no run serves metrics at {url}: {error}: start it with --metrics {address}"
        ) from error
    found = _RUNNING.search(text)
    if found is None or float(found[1]) < 1:
        raise SinkError(f"what serves {url} has no run that goes on")
    return f"well: {float(found[1]):g} running"
