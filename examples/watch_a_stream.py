"""Follow a device live: what arrives, what is lost, which leads are off.

python examples/watch_a_stream.py serial:/dev/ttyACM0 10      (or sim:, or "sim:?leads=I,II")

II, V1 and V5 are used where the device has them, else those of the twelve that it has.
"""

from __future__ import annotations

import sys

import edge


def main(source: str, seconds: str) -> None:
    with edge.open_stream(source) as stream:
        for block in stream:
            at_s = (block.first_sample + block.n_samples) / block.sampling_hz
            off = block.quality & edge.Quality.LEAD_OFF
            names = [lead for lead, row in zip(edge.LEADS, off, strict=True) if row.any()]
            status = stream.runtime.status()
            print(f"{at_s:7.2f} s  lost {status.samples_lost}  off: {', '.join(names) or 'none'}")
            if at_s >= float(seconds):
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
