"""The wearable's path in C is `edge.Reconstructor`, hop by hop, whatever befalls the leads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundle import Bundle, load_bundle, read_bundle
from edge.c_export.path_tables import path_files
from edge.errors import InputError
from edge.leads import LEADS
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from edge.signal.conditioning import Conditioning
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.wire import spec
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.reconstructed import value_codes
from tests.edge.c_export.c_path import CPath, Twelve, build_decoder, build_path
from tests.edge.signals import joined, three_leads
from tests.firmware_bridge.wire_streams import INFO

SETS = [
    ("II", "V1", "V5"),
    ("V5", "I", "II"),
    ("I",),
    ("aVR", "V2"),
    ("III", "aVR", "aVL", "V1", "I"),
    ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"),
    ("V3", "V4"),
]
SECONDS = 20
DATA = Path(os.environ.get("LEADLIFT_DATA", "../shared/data"))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="module")
def decoder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_decoder(bundle, tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def small_bundle(moments: NDArray[np.float64]) -> Bundle:
    """Takes any leads, has 64 channels and two blocks, sigma grows with the amplitude; never trained."""
    torch = pytest.importorskip("torch", reason="the small network needs torch: '.[test]'")
    pytest.importorskip("onnx", reason="the small network needs onnx: install '.[test]'")
    from quantize.export import bundle_from_student
    from quantize.student import Student, StudentConfig

    shape = {"channels": 64, "kernel": 3, "dilations": (1, 4)}
    with torch.random.fork_rng():
        torch.manual_seed(8)
        student = Student(StudentConfig(**shape, n_inputs=12, n_outputs=8, n_sigmas=12))
        for head in (student.residual_head, student.sigma_head):
            torch.nn.init.normal_(head.conv.weight, std=0.1)
    student.eval().fold().set_mode("quantize")
    for quantizer in student.quantizers():
        quantizer.scale.fill_(0.03)
    how = {"name": "small", "sigma_amplitude": 0.4}
    return read_bundle(bundle_from_student(student, moments, Conditioning(), **how))


@pytest.fixture(scope="module", params=SETS, ids=",".join)
def both(
    request: pytest.FixtureRequest,
    bundle: Bundle,
    decoder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[CPath, Reconstructor]]:
    path = build_path(bundle, decoder, request.param, tmp_path_factory.mktemp("path"))
    with Reconstructor.open(bundle, "onnxruntime", leads=request.param) as reconstructor:
        yield path, reconstructor


@pytest.fixture(scope="module")
def default(
    bundle: Bundle, decoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[CPath, Reconstructor]]:
    """II, V1, V5."""
    path = build_path(bundle, decoder, SETS[0], tmp_path_factory.mktemp("default"))
    with Reconstructor.open(bundle, "onnxruntime", leads=SETS[0]) as reconstructor:
        yield path, reconstructor


def streamed(
    reconstructor: Reconstructor, ecg_mv: NDArray, quality: NDArray | None = None
) -> TwelveLeadBlock:
    """Hop by hop, from where the stream stands."""
    hop = reconstructor.hop
    return joined(
        [
            reconstructor.push(
                ecg_mv[:, i : i + hop], quality=None if quality is None else quality[:, i : i + hop]
            )
            for i in range(0, ecg_mv.shape[1], hop)
        ]
    )


def assert_same(twelve: Twelve, block: TwelveLeadBlock) -> None:
    """To float32 rounding of what the filters remember (2 s of it); flags, NaN and index to the last bit."""
    np.testing.assert_array_equal(twelve.quality, block.quality)
    for ours, theirs in ((twelve.ecg_mv, block.ecg_mv), (twelve.sigma_mv, block.sigma_mv)):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    largest = np.pad(np.abs(np.nan_to_num(block.ecg_mv)).max(axis=0), (500, 0))
    remembered = np.lib.stride_tricks.sliding_window_view(largest, 501).max(axis=1)
    off = np.abs(np.nan_to_num(twelve.ecg_mv - block.ecg_mv)) / (1e-5 + 2.0**-22 * remembered)
    assert off.max() <= 1.0
    np.testing.assert_allclose(twelve.sigma_mv, block.sigma_mv, rtol=4e-6, atol=0)
    assert twelve.first_sample == block.first_sample % 2**32


def ecg_of(leads: tuple[str, ...], seconds: float = SECONDS, seed: int = 0) -> NDArray[np.float32]:
    """(n_leads, n) mV of the simulator, with wander, hum and muscle noise."""
    simulator = EcgSimulator(250.0, 75, baseline_mv=0.1, mains_mv=0.02, muscle_mv=0.01, seed=seed)
    return simulator.read(round(seconds * 250) // 4 * 4)[[LEADS.index(lead) for lead in leads]]


def troubled(
    ecg_mv: NDArray[np.float32], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Each second or so of each lead something happens to it, or to all: what a body and a link do."""
    random = np.random.default_rng(seed)
    ecg_mv, n = ecg_mv.copy(), ecg_mv.shape[1]
    quality = np.zeros(ecg_mv.shape, np.uint8)
    for _ in range(n * len(ecg_mv) // 300):
        rows = slice(None) if random.random() < 0.2 else int(random.integers(len(ecg_mv)))
        start = int(random.integers(n))
        short, long = slice(start, start + int(random.integers(1, 40))), slice(start, start + 700)
        match int(random.integers(8)):
            case 0:
                ecg_mv[rows, short] = np.nan  # a gap, held or too long
            case 1:
                ecg_mv[rows, long] = np.nan  # an electrode off, and back
            case 2:
                ecg_mv[rows, start:] += random.choice([-300.0, 300.0, 2.0, -6.0])  # its offset
            case 3:
                ecg_mv[rows, long] = 0.25  # a flat line
            case 4:
                ecg_mv[rows, long] = np.clip(ecg_mv[rows, long] * 3000, -419, 419)  # saturation
                quality[rows, long] |= np.uint8(Quality.CLIPPED)
            case 5:
                ecg_mv[rows, long] += random.normal(0, 0.5, ecg_mv[rows, long].shape)
            case 6:
                ecg_mv[rows, start] = random.choice([np.inf, -np.inf, 3e4])
            case 7:
                ecg_mv[rows, long] *= -20.0  # an amplitude that no heart has
    return ecg_mv.astype(np.float32), quality


def test_a_clean_stream_is_the_reconstructors(both: tuple[CPath, Reconstructor]) -> None:
    path, reconstructor = both
    ecg_mv = ecg_of(reconstructor.leads)
    path.begin()
    reconstructor.reset()
    block = streamed(reconstructor, ecg_mv)
    assert_same(path.push(ecg_mv), block)
    assert np.isfinite(block.ecg_mv).all()


@pytest.mark.parametrize("seed", range(3))
def test_so_is_a_troubled_one(both: tuple[CPath, Reconstructor], seed: int) -> None:
    path, reconstructor = both
    ecg_mv, quality = troubled(ecg_of(reconstructor.leads, seed=seed), seed)
    path.begin()
    reconstructor.reset()
    block = streamed(reconstructor, ecg_mv, quality)
    assert_same(path.push(ecg_mv, quality), block)
    seen = np.bitwise_or.reduce(block.quality, axis=None)
    assert seen & Quality.SETTLING and np.isnan(block.ecg_mv).any()  # it was troubled


def test_a_long_gap_resets_the_state_and_the_index_jumps(
    default: tuple[CPath, Reconstructor],
) -> None:
    path, reconstructor = default
    ecg_mv = three_leads(5000)
    path.begin()
    reconstructor.reset()
    for at, gap in ((slice(0, 1200), 77), (slice(1200, 1204), 3), (slice(1204, 5000), 2**31)):
        assert_same(path.push(ecg_mv[:, at]), streamed(reconstructor, ecg_mv[:, at]))
        path.skip(gap)
        reconstructor.skip(gap)


def test_codes_and_lead_off_bits_are_what_ingest_makes_of_them(
    default: tuple[CPath, Reconstructor],
) -> None:
    path, reconstructor = default
    nanovolts, rail = np.float32(163.5), 1 << 23
    counts = np.rint(three_leads(3000) * (1e6 / float(nanovolts))).astype(np.int32)
    counts[0, 900:] += 1_500_000  # an electrode's offset of 245 mV
    counts[2, 2000:2100] = rail - 1
    counts[2, 2100:2200] = -rail
    lead_off = np.zeros(750, np.uint8)
    lead_off[300:330], lead_off[600:640] = 0b001, 0b110
    path.begin(nanovolts, 24)
    reconstructor.reset()
    ecg_mv = (counts * (float(nanovolts) * 1e-6)).astype(np.float32)
    for row in range(3):
        ecg_mv[row, np.repeat(lead_off >> row & 1, 4) > 0] = np.nan
    clipped = (np.abs(counts) >= rail - 1).astype(np.uint8) * np.uint8(Quality.CLIPPED)
    assert_same(path.push_counts(counts, lead_off), streamed(reconstructor, ecg_mv, clipped))


def test_what_it_sends_is_what_it_made_with_provenance_and_sigma(
    default: tuple[CPath, Reconstructor],
) -> None:
    path, reconstructor = default
    ecg_mv, quality = troubled(three_leads(2000), 3)
    path.begin()
    twelve = path.push(ecg_mv, quality)
    info, said, *events = WireDecoder().receive_data(path.frames(twelve, INFO))
    assert info.leads == INFO.leads
    assert said.leads == LEADS
    assert said.provenance == tuple(map(str, reconstructor.provenance))
    assert (said.model, said.sampling_hz) == (reconstructor.bundle.manifest.name, 250.0)
    assert [event.first_sample for event in events] == list(range(0, 2000, 4))
    assert [event.tick_us for event in events] == list(range(0, 8_000_000, 16_000))
    counts = np.concatenate([event.counts for event in events], axis=1)
    np.testing.assert_array_equal(counts, value_codes(twelve.ecg_mv, 1000.0))
    sigma = np.concatenate([event.sigma_mv for event in events], axis=1)
    half_a_step = 2 ** (0.5 / 16) - 1 + 1e-5
    largest = spec.SIGMA_LEAST_MV * 2 ** (
        254 / spec.SIGMA_STEPS
    )  # code 255: no heart's, of an artefact
    np.testing.assert_allclose(
        sigma, np.minimum(twelve.sigma_mv, largest), rtol=half_a_step, atol=0
    )
    of_hops = np.bitwise_or.reduce(twelve.quality.reshape(12, -1, 4), axis=2)
    np.testing.assert_array_equal(np.stack([event.quality for event in events], axis=1), of_hops)


@pytest.mark.parametrize("name", ["ptbxl", "challenge2011_mobile"])
def test_real_hearts_and_electrode_faults_come_out_the_same(
    default: tuple[CPath, Reconstructor], name: str
) -> None:
    file = DATA / f"{name}.npz"
    if not file.exists():
        pytest.skip(f"real recordings are not here: {file} is missing")
    path, reconstructor = default
    with np.load(file) as found:
        rows = [list(found["leads"]).index(lead) for lead in reconstructor.leads]
        records = found["ecg_uv"][::200][:8, rows, :1500].astype(np.float32) / np.float32(1000)
    ecg_mv = np.concatenate(list(records), axis=1)  # from one heart to the next: a step
    path.begin()
    reconstructor.reset()
    assert_same(path.push(ecg_mv), streamed(reconstructor, ecg_mv))


@pytest.mark.parametrize("leads", [SETS[0], SETS[3]], ids=",".join)
def test_sigma_grows_with_the_amplitude_where_the_bundle_says_so(
    bundle: Bundle, decoder: Path, tmp_path: Path, leads: tuple[str, ...]
) -> None:
    manifest = replace(bundle.manifest, sigma_amplitude=0.15)
    grows = replace(bundle, manifest=manifest)
    path = build_path(grows, decoder, leads, tmp_path)
    ecg_mv, quality = troubled(ecg_of(leads, seed=6), 6)
    with Reconstructor.open(grows, "onnxruntime", leads=leads) as reconstructor:
        assert_same(path.push(ecg_mv, quality), streamed(reconstructor, ecg_mv, quality))


@pytest.mark.parametrize(
    "change",
    [
        {"mains_hz": 60.0},
        {"mains_hz": None},
        {"lowpass_hz": 40.0},
        {"highpass_hz": 0.5, "mains_hz": None, "lowpass_hz": 100.0},
    ],
    ids=str,
)
def test_other_filters_are_other_tables(
    bundle: Bundle, decoder: Path, tmp_path: Path, change: dict[str, float | None]
) -> None:
    conditioning = replace(bundle.manifest.conditioning, **change)
    path = build_path(bundle, decoder, SETS[0], tmp_path, conditioning)
    ecg_mv, quality = troubled(three_leads(4000), 5)
    with Reconstructor.open(bundle, "onnxruntime", leads=SETS[0]) as opened:
        reconstructor = Reconstructor(opened.engine, conditioning, leads=SETS[0])
        assert_same(path.push(ecg_mv, quality), streamed(reconstructor, ecg_mv, quality))


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        (LEADS, "12 measured leads: a wearable has at most 8"),
        (("II", "V9"), "V9"),
        (("II", "II"), "twice"),
        ((), "no lead is measured"),
    ],
    ids=str,
)
def test_leads_that_no_wearable_has_are_refused(
    bundle: Bundle, leads: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        path_files(bundle, leads)


@pytest.mark.parametrize("leads", [SETS[0], SETS[4]], ids=",".join)
def test_a_network_of_another_size_has_the_same_path(
    small_bundle: Bundle, tmp_path: Path, leads: tuple[str, ...]
) -> None:
    (tmp_path / "decoder").mkdir()
    decoder = build_decoder(small_bundle, tmp_path / "decoder")
    path = build_path(small_bundle, decoder, leads, tmp_path)
    ecg_mv, quality = troubled(ecg_of(leads, 10, seed=4), 4)
    with Reconstructor.open(small_bundle, "onnxruntime", leads=leads) as reconstructor:
        assert_same(path.push(ecg_mv, quality), streamed(reconstructor, ecg_mv, quality))


def test_a_bundle_of_fixed_leads_is_refused(bundle: Bundle) -> None:
    fixed = replace(bundle.manifest, input_leads=("II", "V1", "V5"))
    with pytest.raises(InputError, match="alone: the wearable's path masks leads"):
        path_files(Bundle(b"", fixed))
