"""Other makers' boards end to end: their twins on a port or a radio, through the source into twelve leads."""

from __future__ import annotations

import asyncio
import os
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edge.errors import InputError
from edge.leads import LEADS, lead_indices
from edge.live.runtime import Runtime
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from firmware_bridge.devices.lead_map import lead_map
from firmware_bridge.errors import PeerError, StallError
from firmware_bridge.events import Event, Gap, Restarted, Samples, StreamInfo
from firmware_bridge.simulators.cyton import VirtualCyton
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.ganglion import VirtualGanglion
from firmware_bridge.simulators.openview import VirtualOpenView
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.twins import Setup, make_twin, source_options
from firmware_bridge.simulators.wearable import VirtualWearable
from firmware_bridge.source import Source, open_source
from firmware_bridge.transports.serial_port import SerialTransport

pytestmark = pytest.mark.realtime

WIRED = "1:II,2:V1,3:V5"
BOUND_S = 20.0


@pytest.fixture(scope="module")
def reconstructor() -> Iterator[Reconstructor]:
    with Reconstructor.open() as opened:
        yield opened


def twelve(
    spec: str, reconstructor: Reconstructor, n_samples: int = 375
) -> tuple[np.ndarray, Runtime]:
    """`n_samples` of twelve leads in mV, (12, n), and the runtime that made them."""
    reconstructor.reset()
    runtime = Runtime(open_source(spec), reconstructor, leads=reconstructor.leads)
    blocks: list[TwelveLeadBlock] = []
    stream = runtime.blocks(BOUND_S)
    for block in stream:
        blocks.append(block)
        if sum(b.n_samples for b in blocks) >= n_samples:
            break
    stream.close()
    return np.concatenate([b.ecg_mv for b in blocks], axis=1)[:, :n_samples], runtime


def events_of(source: Source, n_samples: int) -> list[Event]:
    """What `source` says until it has said `n_samples`."""

    async def run() -> list[Event]:
        taken: list[Event] = []
        n = 0
        async with source:
            async for timed in source:
                taken.append(timed.event)
                n += timed.event.counts.shape[1] if isinstance(timed.event, Samples) else 0
                if n >= n_samples:
                    break
        return taken

    return asyncio.run(asyncio.wait_for(run(), BOUND_S))


def cyton(**options: bool | str) -> VirtualCyton:
    return VirtualCyton(EcgSimulator(250.0, seed=3), lead_map(WIRED, 8), bursts_hz=50, **options)  # type: ignore[arg-type]


def _looks_like(ecg_mv: np.ndarray, seed: int, rate_hz: float, tail: int = 200) -> np.ndarray:
    """Correlation of each of II, V1 and V5 with the signal that was played, at the best delay."""
    rows = lead_indices(("II", "V1", "V5"))
    n = ecg_mv.shape[1]
    truth = EcgSimulator(rate_hz, seed=seed).read(round((n + 100) * rate_hz / 250.0))[rows]
    at_250 = np.arange(n + 100) / 250.0
    grid = np.arange(truth.shape[1]) / rate_hz
    played = np.array([np.interp(at_250, grid, row) for row in truth])
    found = ecg_mv[rows][:, -tail:]

    def correlation(delay: int) -> np.ndarray:
        part = played[:, n - tail + delay : n + delay]
        return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(found, part, strict=True)])

    return max((correlation(delay) for delay in range(100)), key=lambda r: float(r.min()))


def test_a_cyton_becomes_twelve_leads(reconstructor: Reconstructor) -> None:
    with PtyWearable(cyton()) as port:
        spec = f"serial:{port.port}?device=cyton&leads={WIRED}"
        ecg_mv, runtime = twelve(spec, reconstructor)
    assert ecg_mv.shape == (len(LEADS), 375)
    assert np.isfinite(ecg_mv).all()
    assert _looks_like(ecg_mv, 3, 250.0).min() > 0.98
    report = runtime.report()
    assert report["samples_lost"] == report["gaps"] == report["corrupt"] == 0


@pytest.mark.parametrize("rate_hz", [100.0, 200.0])
def test_an_ads1293_board_becomes_twelve_leads_at_the_rate_of_the_decoder(
    reconstructor: Reconstructor, rate_hz: float
) -> None:
    board = VirtualOpenView(EcgSimulator(rate_hz, seed=4), lead_map(WIRED, 3), bursts_hz=50)
    with PtyWearable(board, wait_for_host=True) as port:
        spec = f"serial:{port.port}?device=openview&leads={WIRED}&rate={rate_hz:g}"
        ecg_mv, runtime = twelve(spec, reconstructor)
    assert np.isfinite(ecg_mv).all()
    assert _looks_like(ecg_mv, 4, rate_hz).min() > 0.98
    assert runtime.report()["samples_lost"] == 0


def test_electrodes_against_one_reference_become_the_same_leads() -> None:
    electrodes = "1:-LA,2:-LL,3:-V1,4:-V5"  # on N pins, SRB2 at the right arm
    board = VirtualCyton(EcgSimulator(250.0, seed=3), lead_map(electrodes, 8, "RA"))
    with PtyWearable(board) as port:
        spec = f"serial:{port.port}?device=cyton&leads={electrodes}&reference=RA"
        info, *rest = events_of(open_source(spec), 50)
    assert isinstance(info, StreamInfo) and info.leads == ("I", "II", "III", "V1", "V5")
    assert board.srb2.all()
    counts = np.concatenate([e.counts for e in rest if isinstance(e, Samples)], axis=1)
    truth = EcgSimulator(250.0, seed=3).read(50)[lead_indices(info.leads)]
    np.testing.assert_allclose(counts[:, :50] * info.nanovolts_per_lsb * 1e-6, truth, atol=2e-3)


def test_a_board_as_shipped_is_refused_and_runs_without_the_lead_if_the_user_says_so(
    reconstructor: Reconstructor,
) -> None:
    def board() -> VirtualOpenView:
        return VirtualOpenView(EcgSimulator(100.0), lead_map("1:I,2:II,3:V1", 3), bursts_hz=50)

    with PtyWearable(board()) as port:
        with pytest.raises(InputError) as caught:
            twelve(f"serial:{port.port}?device=openview", reconstructor)
        assert str(caught.value) == (
            "the stream has no lead V5: it gives I, II, V1, needed are II, V1, V5; "
            "ask for what it has with --leads II,V1, say what you wired in the source's leads=, "
            "or go without: missing=V5"
        )
        spec = f"serial:{port.port}?device=openview&missing=V5"
        ecg_mv, _ = twelve(spec, reconstructor, 100)
    assert np.isnan(ecg_mv[LEADS.index("V5")]).all()
    assert np.isfinite(ecg_mv[LEADS.index("V4")]).all()


@pytest.mark.parametrize("device", ["cyton", "openview"])
def test_a_simulated_board_is_read_with_the_options_that_go_with_it(device: str) -> None:
    setup = Setup(lambda rate_hz: EcgSimulator(rate_hz, seed=2), frames_hz=50)
    with PtyWearable(make_twin(device, setup)) as port:
        info, samples, *_ = events_of(open_source(f"serial:{port.port}{source_options(device)}"), 9)
    assert isinstance(info, StreamInfo) and info.leads == ("II", "V1", "V5")
    assert isinstance(samples, Samples)


def test_each_board_has_its_baud_rate() -> None:
    for device, baud in (("cyton", 115200), ("openview", 57600)):
        transport = open_source(f"serial:/dev/x?device={device}&leads={WIRED}").link.transport
        assert isinstance(transport, SerialTransport)
        assert transport.baud == baud


def test_a_capture_of_a_conversation_replays_the_same(tmp_path: Path) -> None:
    capture = tmp_path / "cyton.capture"
    board = cyton(daisy=True)
    with PtyWearable(board) as port:
        spec = f"serial:{port.port}?device=cyton&leads={WIRED}&gain=6"
        live = events_of(open_source(spec, capture=capture), 100)
    assert board.gains[:4].tolist() == [6, 6, 6, 24]
    assert not board.srb2[:3].any()
    replayed = events_of(open_source(f"replay:{capture}?speed=inf"), 100)
    assert [type(e) for e in live] == [type(e) for e in replayed]
    for a, b in zip(live, replayed, strict=True):
        if isinstance(a, Samples) and isinstance(b, Samples):
            np.testing.assert_array_equal(a.counts, b.counts)


def test_packets_lost_on_the_radio_are_a_gap_of_so_many_samples() -> None:
    board = cyton()
    with PtyWearable(board) as port:
        source = open_source(f"serial:{port.port}?device=cyton&leads={WIRED}")

        async def run() -> list[Event]:
            taken: list[Event] = []
            async with source:
                async for timed in source:
                    taken.append(timed.event)
                    if len(taken) == 5:
                        board.lose_packets = 300  # more than the counter's 256
                    if isinstance(timed.event, Gap):
                        return taken
            return taken

        taken = asyncio.run(asyncio.wait_for(run(), BOUND_S))
    gap = taken[-1]
    assert isinstance(gap, Gap)
    assert gap.n_samples == 300


@pytest.mark.parametrize(
    ("board", "says"),
    [
        (lambda: cyton(board_on=False), "switch the board on"),
        (lambda: VirtualWearable(EcgSimulator()), "check device= (cyton here) and baud="),
        (lambda: VirtualOpenView(EcgSimulator(100.0), lead_map(WIRED, 3)), "check device= (cyton"),
    ],
    ids=["no board", "another device", "another board"],
)
def test_what_is_no_cyton_that_can_be_read_is_told_in_one_line(board: object, says: str) -> None:
    with PtyWearable(board()) as port:  # type: ignore[operator]
        spec = f"serial:{port.port}?device=cyton&leads={WIRED}"
        with pytest.raises(PeerError) as caught:
            events_of(open_source(spec, stall_s=0.5, peer_s=0.3), 1)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_port_at_the_wrong_baud_rate_ends_in_time() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    rng = np.random.default_rng(1)
    ended = threading.Event()

    def noise() -> None:
        while not ended.wait(0.02):
            os.write(master, rng.bytes(60))

    thread = threading.Thread(target=noise)
    thread.start()
    try:
        for device in ("cyton", "openview"):
            source = open_source(f"serial:{name}?device={device}&leads={WIRED}", peer_s=0.3)
            with pytest.raises(PeerError, match=rf"no valid frame.*{device} here"):
                events_of(source, 1)
    finally:
        ended.set()
        thread.join()
        os.close(master)


def test_a_board_that_is_silent_is_told() -> None:
    board = VirtualOpenView(EcgSimulator(100.0), lead_map(WIRED, 3))
    board.started = False
    with PtyWearable(board) as port, pytest.raises(StallError, match=r"silent for 0\.3 s"):
        events_of(open_source(f"serial:{port.port}?device=openview", stall_s=0.3), 1)


@contextmanager
def on_air(board: VirtualGanglion) -> Iterator[Callable[[], None]]:
    """`board` in reach, on a link that has room for more than 20 bytes; what hides it for a moment."""
    from benchmarks.wire.bluez.fake_bluez_server import FakeBlueZServer
    from benchmarks.wire.bluez.fake_radio import Radio
    from firmware_bridge.simulators.ble_wearable import BleWearable
    from tests.firmware_bridge.ble_host import running

    bluez = FakeBlueZServer(mtu=247)
    with Radio(bluez) as radio, running(BleWearable(board, name="Ganglion-1a2b")) as device:

        def hide() -> None:
            assert bluez.registered is not None
            radio.do(bluez.remove, bluez.registered)
            radio.do(bluez.add, bluez.registered)

        yield hide
        assert device.frames_dropped == 0


@pytest.mark.parametrize("version", ["2.0.1", "3.0.2"])
def test_a_ganglion_becomes_twelve_leads(
    bluetooth: None, reconstructor: Reconstructor, version: str
) -> None:
    signal = EcgSimulator(200.0, seed=6)
    board = VirtualGanglion(signal, lead_map(WIRED, 4), version=version, bursts_hz=5)
    with on_air(board):
        spec = f"ble:Ganglion-1a2b{source_options('ganglion')}"
        ecg_mv, runtime = twelve(spec, reconstructor)
    assert np.isfinite(ecg_mv).all()
    assert _looks_like(ecg_mv, 6, 200.0).min() > 0.98
    info = runtime.ingest.info
    assert info is not None and (info.sampling_hz, info.firmware) == (200.0, version[0])
    assert runtime.report()["samples_lost"] == 0


def test_a_ganglion_that_was_out_of_reach_is_started_again(bluetooth: None) -> None:
    board = VirtualGanglion(EcgSimulator(200.0), lead_map(WIRED, 4))
    with on_air(board) as hide:
        source = open_source(f"ble:?device=ganglion&leads={WIRED}")

        async def run() -> list[Event]:
            taken: list[Event] = []
            async with source:
                async for timed in source:
                    taken.append(timed.event)
                    if len(taken) == 20:
                        hide()
                    if isinstance(timed.event, Samples) and timed.event.session:
                        return taken
            return taken

        taken = asyncio.run(asyncio.wait_for(run(), BOUND_S))
    assert source.reconnects == 1
    assert any(isinstance(event, Restarted) for event in taken)
