"""The whole live path, timed from outside: a wearable in a process of its own, a pty, the real runtime.

Matching rule. The wearable logs (first sample, monotonic time after the write of the last byte) of each
frame; the sink notes (stream index after the block's last sample, monotonic time) of each block. An
output sample is possible once its last input sample has come: with a rate converter that is
`half` input samples later, and a hop must be whole. For each frame that completes at least one hop, the
block that holds the last output sample that this frame made possible is the one that answers it, and its
latency is the block's time at the sink minus the frame's. A block that answers several frames late is
so counted with each of them: falling behind cannot hide. Both clocks are CLOCK_MONOTONIC of one machine.

The wearable notes the time after its write, and on a busy machine it is set aside in between: the bytes
may have been read before the note (`frames_noted_after_arrival`). They were written by then, so the
earlier of note and arrival counts. Beside `processing` stands `from_schedule`: the same from when the
frame was due, as the earliest frame of the run sets the schedule. The wearable's own lateness is in it,
so it overstates where the other may understate.

What no faster machine takes away is `algorithmic` and apart from that: the frame that the device fills,
the converter's delay, the hop, the look-ahead.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.ratios import spread
from benchmarks.report import PERCENTILES, TOO_FEW, percentile_name, percentiles, samples_needed
from edge.bundle import Bundle
from edge.commands.demo import WEARABLE, virtual_wearable
from edge.live.memory import Memory, read_memory
from edge.live.runtime import Runtime
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from edge.signal.resampling import LIVE_DELAY_S, RateConverter
from firmware_bridge.source import open_source

DEVICE_HZ = 500.0
FRAMES_HZ = 25.0
TAIL_S = 0.5  # frames written in the last instants may still be on their way when the run ends
MEMORY_EVERY_S = 1.0
SPARE = 4  # blocks may come in pieces; more than this many per frame are not noted, and that fails


class TimingSink:
    """Notes when each block arrives, in arrays made before the run; takes memory now and then."""

    def __init__(self, seconds: float, blocks_hz: float) -> None:
        capacity = round((seconds + 10) * blocks_hz * SPARE)
        self._ends = np.empty(capacity, np.int64)
        self._times_ns = np.empty(capacity, np.int64)
        self._arrivals_ns = np.empty(capacity, np.int64)
        self._n = 0
        self._memory_ns = 0
        self.memory: list[tuple[float, Memory]] = []
        """(seconds since the first block, memory of this process), every second."""
        self.missing_samples = 0
        """Output samples that no block holds: jumps of the index."""

    def write(self, block: TwelveLeadBlock) -> None:
        """Note the block."""
        now_ns = monotonic_ns()
        i = self._n
        if i == len(self._ends):
            raise BenchmarkError("more blocks came than frames were sent: is the wearable ours?")
        self.missing_samples += block.first_sample - (int(self._ends[i - 1]) if i else 0)
        self._ends[i] = block.first_sample + block.n_samples
        self._times_ns[i] = now_ns
        self._arrivals_ns[i] = block.arrival_ns
        self._n = i + 1
        if now_ns - self._memory_ns > MEMORY_EVERY_S * 1e9:
            self._memory_ns = now_ns
            self.memory.append(((now_ns - int(self._times_ns[0])) * 1e-9, read_memory()))

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> TimingSink:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def blocks(self) -> NDArray[np.int64]:
        """(n_blocks, 3): stream index after the last sample, its bytes' arrival and its own, in ns."""
        columns = (self._ends, self._arrivals_ns, self._times_ns)
        return np.stack([column[: self._n] for column in columns], axis=1)


@dataclass(frozen=True)
class LiveRun:
    """What one live run measured."""

    latencies_us: NDArray[np.float64]
    """Per frame that completes a hop: last byte written -> block at the sink."""
    results: dict[str, Any]
    memory: list[tuple[float, Memory]]


def run_live(
    bundle: Bundle,
    engine: str = "auto",
    *,
    seconds: float = 60.0,
    device_hz: float = DEVICE_HZ,
    frames_hz: float = FRAMES_HZ,
) -> LiveRun:
    """Run the live path in real time and match frames with blocks.

    Raises what opening and running the path can (BridgeError, LeadliftError), and BenchmarkError when
    nothing came.
    """
    with tempfile.TemporaryDirectory() as folder, Reconstructor.open(bundle, engine) as r:
        log = Path(folder) / "frames.csv"
        # Of one length, so that a frame's number says when it was due.
        rates = ("--rate", f"{device_hz:g}", "--frames-hz", f"{frames_hz:g}", "--fixed-frames")
        options = (*WEARABLE, *rates, "--write-times", str(log))
        sink = TimingSink(seconds, frames_hz)
        with virtual_wearable(options) as port:
            runtime = Runtime(open_source(f"serial:{port}"), r, {"timing": sink}, leads=r.leads)
            busy_s = process_time()
            runtime.run(seconds)
            busy_s = process_time() - busy_s
        frames = read_frames(log)
        hop, lookahead, output_hz = r.hop, r.lookahead, r.sampling_hz
    blocks = sink.blocks
    if not len(frames) or not len(blocks):
        raise BenchmarkError("the live run brought no block: make it longer")
    delay_s = 0.0
    if device_hz != output_hz:
        delay_s = RateConverter(device_hz, output_hz, delay_s=LIVE_DELAY_S).delay_s
    sent = frames[frames[:, 1] <= blocks[-1, 2] - round(TAIL_S * 1e9)]
    found = match(sent, blocks, device_hz, output_hz, delay_s, hop)
    due = match(scheduled(sent, device_hz), blocks, device_hz, output_hz, delay_s, hop)
    report = runtime.report()
    results = {
        "processing": {"unit": "us", **percentiles(found.latencies_us)},
        "ecdf": spread(found.latencies_us)["ecdf"],
        "from_schedule": {"unit": "us", **percentiles(due.latencies_us)},
        "frames_noted_after_arrival": found.noted_late,
        "algorithmic_ms": algorithmic_ms(frames_hz, delay_s, (hop + lookahead) / output_hz),
        "device_hz": device_hz,
        "output_hz": output_hz,
        "frames_hz": frames_hz,
        "seconds": runtime.seconds,
        "frames_sent": len(sent),
        "frames_dropped_by_device": dropped_frames(frames),
        "frames_unanswered": found.unanswered,
        "samples_in": report["samples_in"],
        "samples_out": report["samples_out"],
        "samples_lost": runtime.samples_lost,
        "output_samples_missing": sink.missing_samples,
        "gaps": report["gaps"],
        "corrupt": report["corrupt"],
        "deadline_us": report["deadline_us"],
        "deadline_misses": report["deadline_misses"],
        "cpu_share": busy_s / runtime.seconds,
        "stages_us": {
            name: told(stage.summary_us()) for name, stage in runtime.latency.stages.items()
        },
    }
    return LiveRun(found.latencies_us, results, sink.memory)


def told(stage: dict[str, Any]) -> dict[str, Any]:
    """The runtime's own summary of a stage, without percentiles that its count cannot tell."""
    floors = {percentile_name(p): samples_needed(p) for p in PERCENTILES}
    return {
        name: TOO_FEW if stage["n"] < floors.get(name, 0) else value
        for name, value in stage.items()
    }


def read_frames(log: Path) -> NDArray[np.int64]:
    """(n_frames, 2) first sample and time in ns of each frame, as the wearable logged them."""
    text = log.read_text(encoding="ascii")
    lines = text[: text.rfind("\n") + 1].split()  # a last line may be half written
    return np.array([line.split(",") for line in lines], np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class Matched:
    """Frames and the blocks that answer them."""

    latencies_us: NDArray[np.float64]
    """Of each frame that completes a hop and was answered."""
    unanswered: int
    noted_late: int
    """Frames whose bytes had been read before the wearable noted their writing."""


def match(
    frames: NDArray[np.int64],
    blocks: NDArray[np.int64],
    device_hz: float,
    output_hz: float,
    delay_s: float,
    hop: int,
) -> Matched:
    """Match by the rule of this module.

    `frames` (n, 2): first sample, time in ns; `blocks` (m, 3): stream index after the block, arrival of its
    last bytes and time at the sink in ns. The stream begins with the first frame. The last frame is left
    out: how long it is, its follower says.
    """
    ends = frames[1:, 0] - frames[0, 0]  # input samples that have come with each frame
    half = round(delay_s * device_hz)
    # Output m needs input floor(m * device / output) + half, so so many outputs are possible:
    possible = np.maximum(0, np.ceil((ends - half) * (output_hz / device_hz) - 1e-9)).astype(int)
    whole = possible // hop * hop
    completes = np.diff(whole, prepend=0) > 0
    answer = np.searchsorted(blocks[:, 0], whole[completes])  # the first block that reaches it
    found = answer < len(blocks)
    noted_ns = frames[:-1, 1][completes][found]
    _, arrival_ns, block_ns = blocks[answer[found]].T
    latencies_us = (block_ns - np.minimum(noted_ns, arrival_ns)) / 1e3
    return Matched(latencies_us, int((~found).sum()), int((noted_ns > arrival_ns).sum()))


def scheduled(frames: NDArray[np.int64], device_hz: float) -> NDArray[np.int64]:
    """`frames` with the times at which they were due: evenly spaced, none later than it was written."""
    due_ns = np.rint((frames[:, 0] - frames[0, 0]) * (1e9 / device_hz)).astype(np.int64)
    due_ns += (frames[:, 1] - due_ns).min()
    return np.stack([frames[:, 0], due_ns], axis=1)


def algorithmic_ms(frames_hz: float, delay_s: float, step_s: float) -> dict[str, float]:
    """What the design itself costs, at most: from the moment a sample is taken, beside processing."""
    parts = {
        "device_frame": 1e3 / frames_hz,
        "rate_conversion": delay_s * 1e3,
        "hop_and_lookahead": step_s * 1e3,
    }
    return {**parts, "sum": sum(parts.values())}


def dropped_frames(frames: NDArray[np.int64]) -> int:
    """Frames that the device could not send since the port was full: holes in its own log."""
    steps = np.diff(frames[:, 0])
    return int((steps // steps.min() - 1).sum()) if len(steps) else 0
