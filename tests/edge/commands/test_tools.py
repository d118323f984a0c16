"""The commands around the live path: monitor, reconstruct, doctor, devices, simulate, usage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from edge.cli import main
from edge.commands import doctor
from edge.commands.monitor import Monitor
from edge.errors import BundleError
from edge.files.records import open_record
from edge.jetpack import Machine
from edge.leads import INPUT_LEADS, LEADS
from firmware_bridge.events import Corrupt, Samples, StreamInfo
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.source import Timed
from tests.edge.cards import carded
from tests.edge.commands.conftest import Spawn

pytestmark = pytest.mark.realtime

SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def three_leads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of II, V1, V5 at 250 Hz, 10,002 samples: no whole number of hops."""
    path = tmp_path_factory.mktemp("recordings") / "three.npz"
    simulator = EcgSimulator(250.0)
    rows = [simulator.leads.index(lead) for lead in ("II", "V1", "V5")]
    np.savez(
        path,
        ecg_mv=simulator.read(10_002)[rows],
        leads=np.array(["II", "V1", "V5"]),
        sampling_hz=250.0,
    )
    return path


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_reconstruct_gives_twelve_leads_of_the_same_length(
    three_leads: Path, tmp_path: Path
) -> None:
    from edge.reconstructor import Reconstructor

    out = tmp_path / "twelve.npz"
    assert main(["reconstruct", str(three_leads), str(out)]) == 0
    with open_record(three_leads) as given, open_record(out) as made:
        assert made.n_samples == given.n_samples
        assert made.sampling_hz == 250.0
        expected = Reconstructor.open().push(given.read(0, given.n_samples)).ecg_mv
        np.testing.assert_allclose(
            made.read(0, expected.shape[1]), expected, atol=1e-5, equal_nan=True
        )


def test_reconstruct_takes_the_leads_that_are_named_and_no_others(
    three_leads: Path, tmp_path: Path
) -> None:
    import edge

    out = tmp_path / "twelve.npz"
    assert main(["reconstruct", str(three_leads), str(out), "--leads", "V5,II"]) == 0
    with open_record(three_leads, ("V5", "II")) as given, open_record(out) as made:
        expected = edge.reconstruct(given.read(0, given.n_samples), leads=("V5", "II"))
        np.testing.assert_allclose(made.read(0, made.n_samples), expected, atol=1e-5)


def test_reconstruct_keeps_the_rate_of_the_recording(tmp_path: Path) -> None:
    given, out = tmp_path / "three.npz", tmp_path / "twelve.npz"
    simulator = EcgSimulator(500.0)
    np.savez(given, ecg_mv=simulator.read(5001), leads=simulator.leads, sampling_hz=500.0)
    assert main(["reconstruct", str(given), str(out)]) == 0
    with open_record(out) as made:
        assert (made.n_samples, made.sampling_hz, made.leads) == (5001, 500.0, LEADS)


def test_reconstruct_refuses_a_rate_that_no_ecg_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write_csv(tmp_path / "in.csv", "II,V1,V5", 10.0)
    assert main(["reconstruct", str(given), str(tmp_path / "out.edf")]) == 1
    assert "sampling rate of 10 Hz is not accepted" in error_line(capsys)
    assert not (tmp_path / "out.edf").exists()


def test_the_filters_can_be_chosen_and_stand_in_the_file(three_leads: Path, tmp_path: Path) -> None:
    out = tmp_path / "twelve.edf"
    arguments = ["reconstruct", str(three_leads), str(out), "--mains", "60", "--lowpass", "40"]
    assert main(arguments) == 0
    with pyedflib.EdfReader(str(out)) as reader:
        assert reader.getPrefilter(0).strip() == "HP:0.05Hz LP:40Hz N:60Hz"


def write_csv(path: Path, header: str, sampling_hz: float) -> Path:
    times = np.arange(500) / sampling_hz
    rows = "\n".join(f"{time:.6f},{0.1 + time % 0.8:.3f},0.2,0.3" for time in times)
    path.write_text(f"time_s,{header}\n{rows}\n")
    return path


def test_reconstruct_takes_what_a_file_has_where_it_lacks_one_of_the_three(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write_csv(tmp_path / "in.csv", "V5,II,I", 250.0)
    assert main(["reconstruct", str(given), str(tmp_path / "out.npz")]) == 0
    said = f"leadlift: warning: measured leads: I, II, V5 ({given} has no V1)\n"
    assert said in capsys.readouterr().err
    with np.load(tmp_path / "out.npz") as made:
        assert list(made["provenance"][:3]) == ["measured", "measured", "derived"]


def test_reconstruct_says_which_leads_that_were_named_a_file_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write_csv(tmp_path / "in.csv", "I,II,V5", 250.0)
    assert main(["reconstruct", str(given), str(tmp_path / "out.edf"), "--leads", "I,V1"]) == 1
    assert "lacks V1" in error_line(capsys)
    assert not (tmp_path / "out.edf").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--leads", "II,V9"], 2, "unknown lead 'V9'"),
        (["--leads", "II,V2"], 1, "lacks V2"),
        (["--leads", ""], 2, "--leads: no lead is named"),
        (["--model", "nowhere.onnx"], 1, "cannot read the model nowhere.onnx"),
        (["--lowpass", "500"], 2, "filter corner 500 Hz does not fit"),
        (["--engine", "abacus"], 2, "unknown engine 'abacus'"),
    ],
)
def test_reconstruct_refuses_what_it_cannot_use(
    arguments: list[str],
    code: int,
    says: str,
    three_leads: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.edf"
    assert main(["reconstruct", str(three_leads), str(out), *arguments]) == code
    assert says in error_line(capsys)


def test_reconstruct_never_overwrites_its_input(
    three_leads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = three_leads.read_bytes()
    same = three_leads.parent / "." / three_leads.name
    assert main(["reconstruct", str(three_leads), str(same)]) == 2
    assert "is the input" in error_line(capsys)
    assert three_leads.read_bytes() == before


def test_an_altered_bundle_is_refused(
    three_leads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge.bundle import default_bundle_path

    altered = bytearray(default_bundle_path().read_bytes())
    altered[1000] ^= 1
    model = tmp_path / "altered.onnx"
    model.write_bytes(altered)
    arguments = ["reconstruct", str(three_leads), str(tmp_path / "out.edf")]
    assert main([*arguments, "--model", str(model)]) == 1
    assert "does not match its checksum" in error_line(capsys)


def test_what_monitor_captures_can_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture, out, report = (tmp_path / name for name in ("a.capture", "out.csv", "report.json"))
    assert main(["monitor", "sim:", "--seconds", "1.5", "--capture", str(capture)]) == 0
    said = capsys.readouterr().out
    assert "II, V1, V5 at 250 Hz" in said
    assert " Hz  lost 0" in said
    source = f"replay:{capture}?speed=inf"
    run = ["run", "--source", source, "--sink", f"file:{out}", "--report", str(report)]
    assert main(run) == 0
    counts = json.loads(report.read_text())
    assert f"{counts['samples_in']} samples, 0 lost" in said


def test_monitor_says_what_is_wrong_with_the_leads() -> None:
    monitor = Monitor()
    info = StreamInfo(("II", "V1"), 100.0, 1000.0, 16, config_id=0, device="board")
    assert list(monitor.take(Timed(Corrupt("noise", 7), 0), 0)) == []
    assert list(monitor.take(Timed(info, 0), 0)) == ["board: II, V1 at 100 Hz, 16 bits of 1000 nV"]
    counts = np.array([[-500, 250, 0], [1, 2, 3]], np.int32)
    first = Samples(first_sample=0, counts=counts, lead_off=2)
    assert list(monitor.take(Timed(first, 0), 1)) == []
    later = Samples(first_sample=10, counts=counts, lead_off=2)
    (line,) = monitor.take(Timed(later, 2 * SECOND_NS), 2 * SECOND_NS)
    assert "   3.0 Hz  lost 7  gaps 1  corrupt 1" in line
    assert "II -0.50..+0.25 mV  V1 OFF" in line
    assert "6 samples, 7 lost in 1 gaps, 1 corrupt pieces (7 bytes)" in monitor.totals()


def test_doctor_finds_the_model_and_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["engines"]["onnxruntime"] == "ok"
    assert found["packages"]["numpy"] == np.__version__
    assert len(found["bundle"]["sha256"]) == 64
    assert {"tensorrt", "tensorrt_rtx", "pycuda", "cuda-bindings"} <= set(found["packages"])
    assert found["engine"] in found["engines"]
    assert found["engines"][found["engine"]] == "ok"
    assert set(found["engine_skipped"]) | {found["engine"]} <= set(found["engines"])
    assert {"l4t", "jetpack", "board", "driver", "libcuda", "says"} <= set(found["gpu"])
    assert all({"what", "why", "command", "needed"} == set(part) for part in found["missing"])
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "all well" in said
    assert f"engine     {found['engine']} works; auto takes it" in said
    assert f"jetson     {found['gpu']['says']}" in said
    for part in found["missing"]:
        assert f"missing    for tensorrt: {part['what']}: {part['why']}" in said


ORIN = Machine(
    l4t="36.4.3",
    board="NVIDIA Jetson Orin Nano Developer Kit",
    driver="540.4.0",
    gpu=True,
    libcuda=True,
    packages={"tensorrt": "10.3.0", "pycuda": None, "cuda-bindings": "13.1.0", "onnx": "1.19"},
    nvcc="/usr/local/cuda/bin/nvcc",
)


def test_doctor_on_a_jetson_says_the_row_and_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge.jetpack.look", lambda: ORIN)
    assert main(["doctor"]) == 0  # ONNX Runtime works
    said = capsys.readouterr().out.splitlines()
    assert (
        "jetson     JetPack 6.1, 6.2 (L4T 36.4.3): TensorRT 10.3, CUDA 12.6, Python 3.10, "
        "cuda-bindings >=12.9,<13, NVIDIA Jetson Orin Nano Developer Kit"
    ) in said
    assert "gpu        NVIDIA driver 540.4.0" in said
    pycuda = "pycuda: not installed: PATH=/usr/local/cuda/bin:$PATH pip install '.[jetson]'"
    assert f"missing    for tensorrt: {pycuda}" in said
    assert f"engine     tensorrt does not work: the tensorrt engine lacks {pycuda}" in said
    assert any("13.1.0 does not go with CUDA 12.6" in line for line in said)
    assert any(line.endswith(" works; auto takes it") for line in said)


def test_an_engine_that_lacks_something_says_all_of_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = replace(ORIN, packages={}, nvcc=None)
    monkeypatch.setattr("edge.jetpack.look", lambda: bare)
    arguments = ["run", "--source", "sim:", "--sink", "terminal:", "--engine", "tensorrt"]
    assert main(arguments) == 1
    said = error_line(capsys)
    for what in ("tensorrt: not installed: sudo apt install nvidia-jetpack", "pycuda", "onnx"):
        assert what in said


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (None, "expects r .92, 86 uV over I, V2, V3, V4, V6 (PTB-XL fold 9): fair"),
        ({}, "fidelity not measured: the model has no card of it"),
    ],
)
def test_doctor_says_how_good_the_default_leads_are(
    sets: object, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "load_bundle", lambda: carded(sets))
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("model      leadlift-any-to-12: any leads at 250") for line in lines)
    assert f"leads      II, V1, V5 (default): {says}" in lines
    assert any("`leadlift leads`" in line for line in lines) is (sets is None)
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["bundle"]
    assert found["default_leads"] == list(INPUT_LEADS)
    assert found["expected"] is None if sets == {} else found["expected"]["word"] == "fair"


def test_doctor_fails_without_a_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise BundleError("the bundle was altered; copy it again")

    monkeypatch.setattr(doctor, "load_bundle", broken)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "altered; copy it again" in said
    assert "cannot reconstruct" in said


def test_devices_lists_ports_or_says_that_there_are_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from firmware_bridge.transports.ports import list_ports

    assert main(["devices", "--ble-seconds", "0"]) == 0
    said = capsys.readouterr().out
    assert all(f"serial:{port.name}" in said for port in list_ports())
    assert said.strip()
    assert "BLE" not in said


def test_simulate_prints_its_port_and_how_to_read_it(leadlift: Spawn) -> None:
    child = leadlift("simulate", "--device", "cyton", "--leads", "I,II")
    assert child.stdout is not None
    port = child.stdout.readline().strip()
    assert port.startswith("/dev/")
    _, said = child.communicate(timeout=10)  # closes its input, and so ends it
    assert f"leadlift monitor 'serial:{port}?device=cyton&leads=1:I,2:II&simulated=1'" in said
    assert child.returncode == 0


def test_simulate_lists_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"--{name}" in said for name in ("device", "port {pty,ble}", "leads", "battery"))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--sink"],
        ["demo", "--seconds", "-1"],
        ["demo", "--seconds", "soon"],
        ["devices", "--all"],
        ["devices", "--ble-seconds", "-1"],
        ["devices", "--ble-seconds", "soon"],
        ["simulate", "--device", "toaster"],
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: leadlift" in capsys.readouterr().err


@pytest.mark.parametrize("value", [np.nan, 0.0, -3.5])
def test_reconstruct_refuses_a_recording_in_which_nothing_moves(
    value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ecg_mv = np.full((3, 10_000), value, np.float32)  # longer than what is read at once
    np.savez(tmp_path / "flat.npz", ecg_mv=ecg_mv, sampling_hz=250.0, leads=INPUT_LEADS)
    assert main(["reconstruct", str(tmp_path / "flat.npz"), str(tmp_path / "out.edf")]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "holds nothing to reconstruct: II, V1, V5 missing or flat throughout" in said
    assert not (tmp_path / "out.edf").exists()


def test_reconstruct_takes_what_is_too_short_to_be_called_flat_and_what_moves_late(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = np.zeros((3, 10_000), np.float32)
    late[0, 9_000:] = EcgSimulator(250.0).read(1000)[1]
    for name, ecg_mv in (("short", late[:, :100]), ("late", late)):
        np.savez(tmp_path / "in.npz", ecg_mv=ecg_mv, sampling_hz=250.0, leads=INPUT_LEADS)
        assert main(["reconstruct", str(tmp_path / "in.npz"), str(tmp_path / f"{name}.csv")]) == 0
    assert "100 samples (400 ms) in 12 leads" in capsys.readouterr().out


def test_reconstruct_says_that_a_lead_is_flat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ecg_mv = EcgSimulator(250.0).read(1500)[[LEADS.index(lead) for lead in INPUT_LEADS]]
    ecg_mv[1] = 0.0
    np.savez(tmp_path / "flat.npz", ecg_mv=ecg_mv, sampling_hz=250.0, leads=INPUT_LEADS)
    assert main(["reconstruct", str(tmp_path / "flat.npz"), str(tmp_path / "out.edf")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("leadlift: warning: V1 is missing or flat for 4.0 s")
