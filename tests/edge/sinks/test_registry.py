"""Sink specs: what opens, what is refused and how, and what is imported only when needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.files.csv_writer import CsvSink
from edge.files.dicom_writer import DicomSink
from edge.files.edf_writer import EdfSink
from edge.files.npz_writer import NpzSink
from edge.files.wfdb_writer import WfdbSink
from edge.sinks import open_sink
from edge.sinks.registry import SINKS
from edge.sinks.terminal import TerminalSink


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.edf", EdfSink),
        ("a.NPZ", NpzSink),
        ("a b:c.csv", CsvSink),
        ("a.hea", WfdbSink),
        ("a.dcm", DicomSink),
    ],
)
def test_file_format_follows_the_extension(tmp_path: Path, name: str, kind: type) -> None:
    if kind is DicomSink:
        pytest.importorskip("pydicom", reason="DICOM is pydicom's: install '.[test]'")
    with open_sink(f"file:{tmp_path / name}", 250.0) as sink:
        assert type(sink) is kind


def test_terminal() -> None:
    with open_sink("terminal:", 250.0) as sink:
        assert type(sink) is TerminalSink


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "unknown sink"),
        ("out.edf", "unknown sink"),
        ("ftp:out.edf", "unknown sink"),
        ("file:", "names no file"),
        ("file:out.mat", "cannot tell the format"),
        ("file:out", "cannot tell the format"),
        ("terminal:80x24", "takes nothing"),
    ],
)
def test_spec_that_cannot_be_understood(spec: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        open_sink(spec, 250.0)
    assert "\n" not in str(caught.value)


def test_refusals_list_what_is_accepted() -> None:
    with pytest.raises(InputError) as scheme:
        open_sink("nowhere:", 250.0)
    assert all(f"{name}:" in str(scheme.value) for name in SINKS)
    with pytest.raises(InputError) as extension:
        open_sink("file:out.mat", 250.0)
    assert all(
        suffix in str(extension.value) for suffix in (".edf", ".npz", ".csv", ".hea", ".dcm")
    )


def test_heavy_libraries_load_only_when_a_sink_draws_or_a_record_opens() -> None:
    script = (
        "import sys, edge.sinks, edge.sinks.terminal, edge.sinks.viewer.sink;"
        "import edge.files.edf_writer, edge.files.records;"
        "heavy = ('rich', 'pyedflib', 'scipy', 'uvicorn', 'starlette', 'websockets');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
