"""The options of a virtual device, for `python -m firmware_bridge.simulators` and `leadlift simulate`."""

from __future__ import annotations

import argparse

from firmware_bridge.durations import seconds
from firmware_bridge.simulators.ecg import ST_TERRITORIES
from firmware_bridge.simulators.twins import DEVICES, LEADS, PORTS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    add = parser.add_argument
    add(
        "--device",
        choices=DEVICES,
        default="wearable",
        help="what to be (default: %(default)s)",
    )
    add("--port", choices=list(PORTS), help="where to be (default: the first that the device has)")
    add("--name", default="leadlift", help="what to advertise with --port ble")
    add("--adapter", metavar="hci0", help="for --port ble (default: the first that is on)")
    add("--rate", type=float, help="sampling rate in Hz (default: the recording's, or 250)")
    add("--leads", default=",".join(LEADS), help="leads to send (default: %(default)s)")
    add("--bits", type=int, choices=(16, 24), default=24, help="bits per sample")
    add("--battery", type=int, default=100, metavar="PERCENT", help="charge (default: %(default)s)")
    add("--frames-hz", type=float, default=25.0, help="frames per second (default: %(default)s)")
    add("--fixed-frames", action="store_true", help="all of one length; else 30 %% either way")
    add("--clock-ppm", type=float, default=0.0, help="how much the device's clock runs fast")
    add("--record", metavar="FILE.npz", help="play ecg_mv (n_leads, n), sampling_hz, leads")
    add("--loop", action="store_true", help="play the recording over and over")
    add("--hr", type=float, default=60.0, help="simulated heart rate (default: %(default)s)")
    add("--pvc", type=float, default=0.0, help="share of premature ventricular beats")
    add("--st", type=float, default=0.0, help="ST shift in mV")
    add("--territory", choices=sorted(ST_TERRITORIES), default="anterior", help="where ST shifts")
    for noise in ("baseline", "mains", "muscle"):
        add(f"--{noise}", type=float, default=0.0, metavar="MV", help=f"{noise} noise, RMS in mV")
    add("--seed", type=int, default=0, help="of the simulated signal (default: %(default)s)")
    add(
        "--wait",
        action="store_true",
        help="start with the host's first byte, or 1 s after it opens",
    )
    add("--seconds", type=seconds, metavar="S", help="stop after S seconds of signal")
    add("--write-times", metavar="FILE", help="log first_sample,monotonic_ns of each frame sent")
    add("--overwrite", action="store_true", help="replace the file of --write-times if it exists")
