"""`leadlift devices`, `doctor` and `run` with streams of LSL on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip(
    "mne_lsl.lsl", reason="LSL needs MNE-LSL: pip install '.[lsl]'", exc_type=ImportError
)

from edge.cli import main
from edge.commands.lsl_devices import lsl_status
from edge.files.records import open_record
from tests.lsl_outlet import outlet

pytestmark = pytest.mark.realtime


def test_streams_are_listed_as_a_source_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        outlet(name="bed 1"),
        outlet(name="bed 1", source_id="two"),
        outlet(name="events", format="string"),
    ):
        assert main(["devices", "--ble-seconds", "0", "--lsl-seconds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("lsl:bed 1?source_id=two  ECG  3 channels  250 Hz") for line in lines
    )
    assert any("markers: with any source, as markers=events" in line for line in lines)
    assert main(["devices", "--ble-seconds", "0", "--lsl-seconds", "0"]) == 0
    assert "lsl" not in capsys.readouterr().out.lower()


def test_the_doctor_finds_a_stream_of_its_own() -> None:
    assert lsl_status().startswith("works: liblsl ")


def test_leads_by_the_names_of_the_channels_into_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.csv"
    with outlet(labels=["CH1", "CH2"]):
        said = main(
            [
                *("run", "--source", "lsl:ecg", "--leads", "II='CH1',V2='CH2'"),
                *("--sink", f"file:{path}", "--seconds", "3"),
            ]
        )
    assert said == 0, capsys.readouterr().err
    with open_record(path, None) as record:
        sources = dict(zip(record.leads, record.provenance, strict=True))
    assert [lead for lead, source in sources.items() if source == "measured"] == ["II", "V2"]
