"""Reconstruct a recording of some leads into a new file, and say how sure the decoder is of each lead.

python examples/reconstruct_file.py INPUT.edf OUTPUT.edf [I,II,V2]
"""

from __future__ import annotations

import sys

import numpy as np

import edge
from edge.files.records import open_record
from edge.offline import reconstruct_pieces


def main(source: str, target: str, measured: str = "II,V1,V5") -> None:
    leads = measured.split(",")
    with (
        open_record(source, leads) as record,
        edge.open(leads=leads) as reconstructor,
        edge.open_sink(f"file:{target}", record.sampling_hz) as sink,
    ):
        ecg_mv = record.read(
            0, record.n_samples
        )  # (n_leads, n) mV; read long recordings piece by piece
        for block in reconstruct_pieces(reconstructor, [ecg_mv], record.sampling_hz):
            sink.write(block)
            if block.n_samples > record.sampling_hz:
                sigma_uv = 1e3 * np.nanmedian(block.sigma_mv, axis=1)
                for lead, origin, uv in zip(edge.LEADS, block.provenance, sigma_uv, strict=True):
                    print(f"{lead:4}{origin!s:28} sigma {uv:4.0f} uV")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except edge.LeadliftError as error:  # one line that says what to do
        sys.exit(str(error))
