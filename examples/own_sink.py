"""A sink of your own beside one of ours: RMS of each lead as a JSON line a second, and an EDF+ file.

python examples/own_sink.py sim: out.edf 5
"""

from __future__ import annotations

import json
import sys

import numpy as np

import edge


class JsonLines:
    """Writes the RMS of every lead, in mV, once a second."""

    def __init__(self) -> None:
        self._blocks: list[edge.TwelveLeadBlock] = []

    def write(self, block: edge.TwelveLeadBlock) -> None:
        self._blocks.append(block)
        if sum(b.n_samples for b in self._blocks) >= block.sampling_hz:
            ecg_mv = np.concatenate([b.ecg_mv for b in self._blocks], axis=1)
            rms = np.sqrt(np.nanmean(np.square(ecg_mv), axis=1))
            print(
                json.dumps(
                    {lead: round(float(v), 3) for lead, v in zip(edge.LEADS, rms, strict=True)}
                )
            )
            self._blocks.clear()


def main(source: str, target: str, seconds: str) -> None:
    mine = JsonLines()
    with (
        edge.open_stream(source) as stream,
        edge.open_sink(f"file:{target}", 250.0, metadata=stream.metadata) as recording,
    ):
        for block in stream:
            mine.write(block)
            recording.write(block)
            if block.first_sample >= float(seconds) * block.sampling_hz:
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
