"""A virtual device as a process of its own: `python -m firmware_bridge.simulators --device NAME`."""

from __future__ import annotations

import argparse
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Sequence

from firmware_bridge.devices.lead_map import named_leads
from firmware_bridge.errors import BridgeError, SourceSpecError
from firmware_bridge.simulators.ble_wearable import BleWearable, open_ble_wearable
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.options import add_options
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.recording import Recording, Signal
from firmware_bridge.simulators.twins import Setup, chosen_port, make_ble_twin, make_twin


def main(
    arguments: Sequence[str] | None = None, announce: Callable[[str], object] | None = None
) -> int:
    """Print the port's name, stream until stdin closes, SIGTERM or `--seconds`; the exit code.

    `announce` is called with the port's name after it was printed. 2 for a port that the device has not.
    """
    options = _parser().parse_args(arguments)
    try:
        options.port = chosen_port(options.device, options.port)
    except SourceSpecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        return simulate(options, announce)
    except BridgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def simulate(options: argparse.Namespace, announce: Callable[[str], object] | None = None) -> int:
    """`main` with options that are parsed already, the port chosen. Raises BridgeError."""
    device = _device(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in a shell's background
            signal.signal(number, lambda *_: device.stop())
    # A parent that holds our stdin as a pipe ends us by closing it, also by dying. A terminal or
    # /dev/null says nothing of that kind.
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_stop_at_end_of_stdin, args=(device,), daemon=True).start()
    print(device.port, flush=True)
    if announce is not None:
        announce(device.port)
    try:
        device.run(options.seconds)
        device.drain()
    finally:
        device.close()
    print(
        f"{device.frames_sent} frames sent, {device.frames_dropped} dropped, "
        f"{device.frames_unheard} while no host listened",
        file=sys.stderr,
    )
    return 0


def _device(options: argparse.Namespace) -> PtyWearable | BleWearable:
    setup = _setup(options)
    if options.port == "pty":
        twin = make_twin(options.device, setup)
        return PtyWearable(
            twin,
            wait_for_host=options.wait,
            write_log=options.write_times,
            overwrite=options.overwrite,
        )
    if options.wait or options.write_times:
        raise BridgeError("--wait and --write-times are for --port pty: leave them out")
    return open_ble_wearable(make_ble_twin(options.device, setup), options.name, options.adapter)


def _setup(options: argparse.Namespace) -> Setup:
    if options.record:
        recording = Recording.load(options.record, loop=options.loop)
        if options.rate not in (None, recording.sampling_hz):
            raise BridgeError(
                f"--rate {options.rate:g} and a recording at {recording.sampling_hz:g} Hz: leave --rate out"
            )
        options.rate = recording.sampling_hz

    def signal_at(rate_hz: float) -> Signal:
        if options.record and rate_hz != recording.sampling_hz:
            raise SourceSpecError(
                f"the recording is at {recording.sampling_hz:g} Hz, and this device samples at {rate_hz:g}"
            )
        if options.record:
            return Recording.load(options.record, loop=options.loop)
        return EcgSimulator(
            rate_hz,
            options.hr,
            pvc_share=options.pvc,
            st_shift_mv=options.st,
            st_territory=options.territory,
            baseline_mv=options.baseline,
            mains_mv=options.mains,
            muscle_mv=options.muscle,
            seed=options.seed,
        )

    return Setup(
        signal_at,
        options.rate,
        named_leads(options.leads, "--leads "),
        frames_hz=options.frames_hz,
        vary_frames=not options.fixed_frames,
        sample_bits=options.bits,
        clock_ppm=options.clock_ppm,
        session=os.getpid() % 256,
        battery=options.battery,
        decoder=getattr(options, "decoder", None),
        measured=getattr(options, "measured", True),
    )


def _stop_at_end_of_stdin(device: PtyWearable | BleWearable) -> None:
    # Not sys.stdin: a thread inside its lock would stop the interpreter from ending.
    while os.read(0, 4096):
        pass
    device.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m firmware_bridge.simulators", description=(__doc__ or "").strip()
    )
    add_options(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
