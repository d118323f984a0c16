"""A program that sends a stream over LSL, for tests: `python -m tests.lsl_outlet JSON`, until its stdin ends.

Sample n of channel c is n % 97 + 100 c, in the unit of the stream. Keys of the JSON are those of DEFAULTS.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np

DEFAULTS: dict[str, Any] = {
    "name": "ecg",
    "type": "ECG",
    "hz": 250.0,
    "rate": 250.0,
    "format": "float32",
    "labels": ["II", "V1", "V5"],
    "unit": "microvolts",
    "source_id": "one",
    "drop": [],
    "pieces": 10,
}
"""`hz` is what is sent, `rate` what is said; `drop` is [first, n] samples that are left out."""


def values(numbers: np.ndarray, n_channels: int) -> np.ndarray:
    """(n, n_channels) of what is sent."""
    return numbers[:, None] % 97 + 100 * np.arange(n_channels)


@contextmanager
def outlet(**said: Any) -> Iterator[subprocess.Popen[str]]:
    """The program, sending; its standard input takes markers, a line each."""
    command = [sys.executable, "-m", "tests.lsl_outlet", json.dumps(said)]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "sends\n"
            yield process
        finally:
            process.kill()


def main() -> None:
    """Send until stdin ends."""
    from mne_lsl.lsl import StreamInfo, StreamOutlet, local_clock

    said = DEFAULTS | json.loads(sys.argv[1])
    labels, hz, piece = said["labels"], said["hz"], said["pieces"]
    if said["format"] == "string":
        info = StreamInfo(said["name"], "Markers", 1, 0.0, "string", said["source_id"])
        markers = StreamOutlet(info)
        print("sends", flush=True)
        for line in sys.stdin:
            markers.push_sample([line.strip()])
        return
    info = StreamInfo(
        said["name"], said["type"], len(labels), said["rate"], said["format"], said["source_id"]
    )
    info.set_channel_names(labels)
    if said["unit"]:
        info.set_channel_units(said["unit"])
    sender = StreamOutlet(info)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    start_s, n = local_clock(), 0
    print("sends", flush=True)
    while not ended.is_set():
        numbers = np.arange(n, n + piece)
        if said["drop"]:
            first, missing = said["drop"]
            numbers = numbers[(numbers < first) | (numbers >= first + missing)]
        n += piece
        sleep(max(0.0, start_s + n / hz - local_clock()))
        if len(numbers):
            part = values(numbers, len(labels)).astype(said["format"])
            sender.push_chunk(np.ascontiguousarray(part), timestamp=start_s + numbers / hz)


if __name__ == "__main__":
    main()
