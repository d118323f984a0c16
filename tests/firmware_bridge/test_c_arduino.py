"""The Arduino sketch runs on a simulated board (see arduino_board/), built as an Arduino library is."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.events import Event, Gap, Restarted, Samples, StreamInfo
from firmware_bridge.firmware.generate import SOURCES
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import FrameType
from tests.firmware_bridge.c_library import BUILD_S, need

BOARD = Path(__file__).parent / "arduino_board"
SKETCH = SOURCES / "examples" / "leadlift_arduino" / "leadlift_arduino.ino"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]
RATE_HZ = 400
SECONDS = 3.0
BAUD = 460_800
BYTE_US = 10e6 / BAUD
QUEUE_BYTES = 512  # the sketch's own
UART_BYTES = 128
LONGEST_FRAME = 21  # samples


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sketch with all that a flat Arduino library compiles: the C files in its root, none below."""
    need("cc", "c++")
    out = tmp_path_factory.mktemp("arduino")
    include = [f"-I{BOARD}", f"-I{SOURCES}"]
    objects = []
    for source in (*SOURCES.glob("*.c"), SKETCH, BOARD / "board.cpp"):
        objects.append(out / f"{source.name}.o")
        language = ["cc", "-std=c99"]
        if source.suffix != ".c":
            language = ["c++", "-std=c++11", "-x", "c++"]
        build([*language, "-O1", *WARNINGS, *include, "-c", str(source), "-o", str(objects[-1])])
    build(["c++", *map(str, objects), "-o", str(out / "board")])
    return out / "board"


def build(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, done.stderr


@dataclass
class Run:
    """What the host heard, and what the board says of itself."""

    events: list[Event]
    conversions: int
    longest_write_us: int

    @property
    def samples(self) -> list[Samples]:
        return [event for event in self.events if isinstance(event, Samples)]

    @property
    def n_samples(self) -> int:
        return sum(event.counts.shape[1] for event in self.samples)

    @property
    def n_lost(self) -> int:
        return sum(event.n_samples for event in self.events if isinstance(event, Gap))


def run(program: Path, buffer: int, *, baud: int = 0, kind: str = "tells", host: str = "") -> Run:
    command = [str(program), str(SECONDS), str(buffer), str(baud), kind, *host.split()]
    done = subprocess.run(command, capture_output=True, timeout=BUILD_S)
    assert done.returncode == 0
    said = dict(re.findall(r"(\w+) (\d+)", done.stderr.decode()))
    events = WireDecoder().receive_data(done.stdout)
    return Run(events, int(said["conversions"]), int(said["longest_write_us"]))


def assert_every_sample_is_told(run: Run, baud: int = BAUD) -> None:
    """Samples and gaps follow on each other without a hole; counts and ticks are those of the index."""
    assert {type(event) for event in run.events} <= {StreamInfo, Samples, Gap}
    first = run.samples[0]
    conversion = int(first.counts[0, 0]) // 6 - first.first_sample  # the converter's, less ours
    place = first.first_sample
    for event in run.events:
        if isinstance(event, Samples | Gap):
            assert event.first_sample == place
            place += event.counts.shape[1] if isinstance(event, Samples) else event.n_samples
        if isinstance(event, Samples):
            index = np.arange(event.first_sample, place) + conversion
            np.testing.assert_array_equal(event.counts, 2 * (3 * index + np.arange(3)[:, None]))
            elapsed_us = (event.first_sample - first.first_sample) * 2500
            assert event.tick_us - first.tick_us == pytest.approx(elapsed_us, abs=50)
    # Only what came since the last byte out was queued is not told yet.
    untold = run.conversions - conversion - place
    assert 0 <= untold <= 2 * LONGEST_FRAME + RATE_HZ * (QUEUE_BYTES + UART_BYTES) * 10 / baud


@pytest.mark.parametrize("buffer", [16, 63, 64, 127, 128, 256, 16_384])
def test_every_sample_leaves_a_uart_of_any_size_and_nothing_waits(
    program: Path, buffer: int
) -> None:
    made = run(program, buffer)
    assert_every_sample_is_told(made)
    assert made.n_lost == 0
    assert made.n_samples >= RATE_HZ * SECONDS - 2 * LONGEST_FRAME
    assert sum(isinstance(event, StreamInfo) for event in made.events) == 3
    assert made.longest_write_us <= 1
    lengths = {event.counts.shape[1] for event in made.samples}
    assert min(lengths) >= 11 and max(lengths) <= 21 and len(lengths) >= 8


@pytest.mark.parametrize("buffer", [1, 128])
def test_a_core_that_never_tells_its_room_waits_for_a_byte_at_most(
    program: Path, buffer: int
) -> None:
    made = run(program, buffer, kind="silent")
    assert_every_sample_is_told(made)
    assert made.n_lost == 0
    assert made.n_samples >= RATE_HZ * SECONDS - 2 * LONGEST_FRAME
    assert made.longest_write_us <= BYTE_US + 2


@pytest.mark.parametrize("kind", ["tells", "silent"])
@pytest.mark.parametrize(("baud", "share"), [(9_600, 0.23), (38_400, 0.92), (57_600, 1.0)])
def test_a_slow_line_loses_whole_frames_and_the_host_knows_how_many_samples(
    program: Path, kind: str, baud: int, share: float
) -> None:
    made = run(program, UART_BYTES, baud=baud, kind=kind)
    assert_every_sample_is_told(made, baud)
    assert made.n_samples / (RATE_HZ * SECONDS) == pytest.approx(share, abs=0.05)
    assert (made.n_lost > 0) == (share < 1)


def test_usb_without_a_host_neither_stops_the_sampling_nor_hides_what_was_lost(
    program: Path,
) -> None:
    made = run(program, 256, kind="absent")
    assert_every_sample_is_told(made)
    assert made.n_lost > 0.4 * RATE_HZ * SECONDS
    assert made.n_samples >= 0.5 * RATE_HZ * SECONDS - LONGEST_FRAME
    late = [event for event in made.samples if event.first_sample > 0.6 * RATE_HZ * SECONDS]
    assert sum(e.counts.shape[1] for e in late) >= 0.4 * RATE_HZ * SECONDS - 2 * LONGEST_FRAME


def test_the_sketch_obeys_its_host(program: Path) -> None:
    commands = ((1000, FrameType.STOP), (2000, FrameType.START), (2500, FrameType.IDENTIFY))
    host = " ".join(f"{ms}:{encode_frame(Command(kind)).hex()}" for ms, kind in commands)
    made = run(program, 128, host=host)
    assert {type(event) for event in made.events} == {StreamInfo, Samples, Restarted}
    (at,) = [i for i, event in enumerate(made.events) if isinstance(event, Restarted)]
    before = sum(e.counts.shape[1] for e in made.events[:at] if isinstance(e, Samples))
    assert before == pytest.approx(RATE_HZ, abs=2 * LONGEST_FRAME)
    assert isinstance(made.events[at + 1], StreamInfo)
    after = [event for event in made.events[at:] if isinstance(event, Samples)]
    assert after[0].first_sample == 0
    assert sum(e.counts.shape[1] for e in after) == pytest.approx(RATE_HZ, abs=2 * LONGEST_FRAME)
