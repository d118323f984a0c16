"""Sigma in recordings: every format keeps it sample by sample, and none takes it for a lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.leads import LEADS
from edge.sinks import open_sink
from tests.edge.files.test_records import KINDS
from tests.edge.sinks.blocks import block, ecg

N = 3000
STEP_MV = 0.0005


def sigma() -> NDArray[np.float32]:
    """(12, N) mV: of what is measured 0, where a lead is off unknown."""
    made = np.abs(ecg(N, 5)) / 10
    made[[1, 6, 10]] = 0.0
    made[[1, 2], 700:800] = np.nan
    return made


def write(path: Path) -> Path:
    with open_sink(f"file:{path}", 250.0, metadata=Metadata()) as sink:
        sink.write(replace(block(ecg(N)), sigma_mv=sigma()))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sigma")
    return {kind: write(folder / f"out.{kind}") for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.integers(0, N), min_size=2, max_size=2).map(sorted),
    leads=st.lists(st.sampled_from(LEADS), min_size=1, unique=True),
)
def test_any_piece_of_any_leads(
    files: dict[str, Path], kind: str, cuts: list[int], leads: list[str]
) -> None:
    start, stop = cuts
    with open_record(files[kind], leads) as record:
        got = record.read_sigma(start, stop)
        assert record.read(start, stop).shape == (len(leads), stop - start)
    assert got is not None
    assert got.dtype == np.float32
    expected = sigma()[[LEADS.index(lead) for lead in leads], start:stop]
    np.testing.assert_allclose(got, expected, atol=STEP_MV / 2 + 1e-6)


def old_edf(path: Path, of: Path) -> None:
    """As leadlift wrote it without sigma."""
    found = edfio.read_edf(of)
    found.drop_signals(range(13, 25))
    found.write(path)


def old_csv(path: Path, of: Path) -> None:
    """As leadlift wrote it without sigma."""
    lines = of.read_text().splitlines()
    kept = [x if x.startswith("#") else ",".join(x.split(",")[:14]) for x in lines]
    path.write_text("".join(f"{x}\n" for x in kept if not x.startswith("# sigma")))


@pytest.mark.parametrize(("kind", "older"), [("edf", old_edf), ("csv", old_csv)])
def test_a_file_of_an_older_version_reads_alike(
    files: dict[str, Path], tmp_path: Path, kind: str, older: Callable[[Path, Path], None]
) -> None:
    path = tmp_path / f"old.{kind}"
    older(path, files[kind])
    with open_record(path) as old, open_record(files[kind]) as new:
        assert old.read_sigma(0, N) is None
        assert new.read_sigma(0, N) is not None
        assert (old.leads, old.n_samples, old.provenance) == (new.leads, N, new.provenance)
        np.testing.assert_array_equal(old.read(0, N), new.read(0, N))
        bits = old.read_quality(0, N)
        assert bits is not None
        np.testing.assert_array_equal(bits, new.read_quality(0, N))
        assert old.warnings == new.warnings


def test_a_standard_deviation_is_never_taken_for_a_lead(
    files: dict[str, Path], tmp_path: Path
) -> None:
    """Whoever kept it and dropped the lead."""
    path = tmp_path / "other.edf"
    found = edfio.read_edf(files["edf"])
    found.drop_signals([7])  # V2
    found.write(path)
    with open_record(path) as record:
        assert record.leads == tuple(lead for lead in LEADS if lead != "V2")
        got = record.read_sigma(0, N)
        assert got is not None
        np.testing.assert_allclose(got, np.delete(sigma(), 7, 0), atol=STEP_MV / 2 + 1e-6)
    with pytest.raises(InputError, match="lacks V2: it has ECG I,"):
        open_record(path, ("V2",))
    table = tmp_path / "other.csv"
    lines = files["csv"].read_text().splitlines()
    rows = [x.split(",") for x in lines if not x.startswith("#")]  # nothing says that it is ours
    table.write_text("".join(",".join(x[:1] + x[14:]) + "\n" for x in rows))
    with pytest.raises(InputError, match="lacks any ECG lead: it has time_s, sigma_I,"):
        open_record(table)


def test_a_sigma_that_makes_no_sense_does_not_block_the_leads(
    files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "damaged.edf"
    content = bytearray(files["edf"].read_bytes())
    at = content.index(b"-0.0005 ")
    content[at : at + 8] = b"nothing "
    path.write_bytes(content)
    with open_record(path) as record:
        assert record.read_sigma(0, N) is None
        np.testing.assert_allclose(record.read(0, N), ecg(N), atol=STEP_MV)
        assert any(line.startswith("no sigma: ") for line in record.warnings)


def test_a_table_that_a_spreadsheet_saved_again(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "saved.csv"
    text = files["csv"].read_text()
    lines = [
        x + ";" * 25 if x.startswith("#") else x.replace(",", ";").replace(".", ",")
        for x in text.splitlines()
    ]
    path.write_text("".join(f"{x}\r\n" for x in lines))
    with open_record(path) as record:
        assert record.leads == LEADS
        got = record.read_sigma(0, N)
    assert got is not None
    np.testing.assert_allclose(got, sigma(), atol=STEP_MV / 2)
