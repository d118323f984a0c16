"""`leadlift run` with several sources: outputs of their own, and one that dies stalls no other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from edge.cli import main
from edge.commands.common import UsageError
from edge.commands.several_sources import named, names_of, sink_of

SIM = "sim:?seed={}"


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        (["sim:", "sim:"], ["sim-1", "sim-2"]),
        (["serial:/dev/ttyACM0?device=csv", "serial:COM3"], ["serial-dev-ttyACM0", "serial-COM3"]),
        (["replay:a/b.bin", "replay:a-b.bin"], ["replay-a-b.bin-1", "replay-a-b.bin-2"]),
        (["ble:", "ble:BED", "ble:bed"], ["ble", "ble-BED-1", "ble-bed-2"]),
        (["ble:x", "ble:x?device=ganglion", "ble:x-1"], ["ble-x-2", "ble-x-3", "ble-x-1"]),
        (["tcp:[::1]:80", "..:/"], ["tcp-1-80", "source"]),
    ],
)
def test_each_source_has_a_name_that_a_file_can_have(specs: list[str], names: list[str]) -> None:
    assert names_of(specs) == names


def test_a_source_twice_and_too_many_are_refused() -> None:
    with pytest.raises(UsageError, match="'serial:COM3' is given twice"):
        names_of(["serial:COM3", "sim:", "serial:COM3"])
    with pytest.raises(UsageError, match="65 sources: give 64 at most"):
        names_of(["sim:"] * 65)


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        ("file:out/{source}.edf", "file:out/bed.edf"),
        ("file:{number}-{time}.edf", "file:2-{time}.edf"),
        ("file:out.d/ward.edf", "file:out.d/ward-2.edf"),
        ("file:ward.edf?every=1h", "file:ward-2.edf?every=1h"),
        ("lsl:ward", "lsl:ward-2"),
        ("view:", "view:"),
        ("view:8000", "view:8000"),
    ],
)
def test_each_source_has_outputs_of_its_own(spec: str, made: str) -> None:
    assert sink_of(spec, "bed", 2) == made
    assert named("report.json", "bed", 2) == "report-2.json"


def test_a_screen_is_of_one_source() -> None:
    with pytest.raises(UsageError, match="terminal: shows one source"):
        sink_of("terminal:", "bed", 1)


@pytest.mark.realtime
def test_one_dead_source_stalls_no_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sources = [SIM.format(1), f"serial:{tmp_path}/no-port", SIM.format(2)]
    given = f"--sink file:{tmp_path}/{{source}}.edf --report {tmp_path}/r.json --seconds 2 --json"
    code = main(["run", "--source", *sources, "--engine", "onnxruntime", *given.split()])
    captured = capfd.readouterr()
    assert code == 1
    said = json.loads(captured.out)
    assert set(said["sources"]) == {"sim-1", "sim-2", next(iter(said["failures"]))}
    assert "the other sources go on" in captured.err
    leads = []
    for name, number in (("sim-1", 1), ("sim-2", 3)):
        with pyedflib.EdfReader(f"{tmp_path}/{name}.edf") as reader:
            assert reader.getFileDuration() >= 1
            leads.append(reader.readSignal(1)[:200])
        report = json.loads((tmp_path / f"r-{number}.json").read_text())
        assert report["outcome"] == "done"
        assert report["samples_lost"] == 0
    assert not np.array_equal(*leads)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--sink", "terminal:"], "terminal: shows one source"),
        ([], "say with --sink where each goes"),
        (["--sink", "file:a.edf", "--patient", "p.json"], "name a calibration for each"),
    ],
)
def test_what_several_sources_cannot_have_is_wrong_usage(
    more: list[str], why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--source", "sim:", "sim:", *more]) == 2
    assert why in capfd.readouterr().err


def test_no_file_is_overwritten(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ward-2.edf").write_bytes(b"mine")
    arguments = ["run", "--source", "sim:", "sim:", "--sink", f"file:{tmp_path}/ward.edf"]
    assert main([*arguments, "--seconds", "1"]) == 1
    assert "exists" in capfd.readouterr().err
    assert (tmp_path / "ward-2.edf").read_bytes() == b"mine"
    assert not (tmp_path / "ward-1.edf").exists()


@pytest.mark.parametrize(
    "name", ["{patient}.edf", "{foo}-{time}.csv", "{time}-{patient}.edf?every=1h"]
)
def test_a_placeholder_of_another_command_is_no_name(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["run", "--source", "sim:", "--sink", f"file:{tmp_path}/{name}", "--seconds", "1"]
    assert main(given) == 2
    told = capsys.readouterr().err
    assert "nothing is put in place of {" in told and len(told.splitlines()) == 1
    assert not [*tmp_path.iterdir()]
