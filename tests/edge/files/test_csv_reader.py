"""CSV as spreadsheets, loggers and instruments write it: exact values, true times, one-line errors."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from edge.files.csv_text import CHUNK_BYTES
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.leads import INPUT_LEADS
from edge.sinks import open_sink
from tests.edge.files.csv_tables import HEAD, MV, START, N, put, rows, seconds
from tests.edge.sinks.blocks import block, ecg

DIALECTS = {
    "comma": HEAD + rows(),
    "semicolon and decimal comma": HEAD.replace(",", ";") + rows(";", ","),
    "tab": HEAD.replace(",", "\t") + rows("\t"),
    "blanks in columns": "  time_s   II   V1   V5\n" + rows("   "),
    "bar": HEAD.replace(",", "|") + rows("|"),
    "Excel's sep=": "sep=;\n" + HEAD.replace(",", ";") + rows(";", ","),
    "quoted": '"time_s","II","V1","V5"\n' + rows(quote='"'),
    "decimal commas in quotes": '"time_s","II","V1","V5"\n' + rows(",", ",", quote='"'),
    "separator at the end": HEAD[:-1] + ",\n" + rows(end=",\n"),
    "only rows end in one": HEAD + rows(end=",\n"),
    "CR": (HEAD + rows()).replace("\n", "\r"),
    "CRLF": (HEAD + rows()).replace("\n", "\r\n"),
    "blank lines": HEAD + rows(end="\n\n"),
    "comments": "# one\n% two\n// three\n" + HEAD + rows().replace("\n0.4", "\n# here\n0.4", 1),
    "header in a comment (np.savetxt)": "# " + HEAD + rows(),
    "empty rows at the end": HEAD + rows() + ",,,\n,,,\n",
    "text column": "time_s,II,V1,V5,note\n" + rows(end=',"hi, you"\n'),
    "mostly empty column": "time_s,II,V1,V5,event\n" + rows(end=",\n").replace(",\n", ",R\n", 1),
    "row of units": "time,II,V1,V5\n(s),(uV),(uV),(uV)\n" + rows(scale=1000),
    "PhysioNet": "'sample interval','II','V1','V5'\n'sec','mV','mV','mV'\n" + rows(),
    "PhysioNet clock": "'Elapsed time','II','V1','V5'\n'hh:mm:ss.mmm','mV','mV','mV'\n"
    + rows(time=lambda i: f"'0:{i / 250:06.3f}'"),
    "keys above": "Device: x\nSampling Rate: 250\nUnit: uV\n\nII,V1,V5\n"
    + rows(time=None, scale=1e3),
    "comments that Excel saved": "# sampling_hz: 250,,\n# unit: uV,,\nII,V1,V5\n"
    + rows(time=None, scale=1e3),
    "3,000 columns": "time_s,"
    + "x," * 3000
    + "II,V1,V5\n"
    + "".join(f"{line.replace(',', ',' + '0,' * 3000, 1)}\n" for line in rows().splitlines()),
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_dialects(tmp_path: Path, name: str, encoding: str) -> None:
    if name == "3,000 columns" and encoding != "utf-8":
        pytest.skip("large")
    with open_record(put(tmp_path, DIALECTS[name], encoding), INPUT_LEADS) as record:
        assert (record.sampling_hz, record.n_samples) == (250.0, N)
        np.testing.assert_allclose(record.read(0, N), MV, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(record.read(301, 702), MV[:, 301:702], rtol=1e-6, atol=1e-7)
        assert record.warnings == ()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_micro_sign_of_any_code_page(tmp_path: Path, encoding: str) -> None:
    text = "time;II (\u00b5V);V1 (\u00b5V);V5 (\u00b5V)\n" + rows(";", ",", scale=1000)
    with open_record(put(tmp_path, text, encoding)) as record:
        np.testing.assert_allclose(record.read(0, N), MV, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "cell",
    ["", " ", "nan", "NaN", "NA", "N/A", "#N/A", "null", "None", "-", "?", "inf", "-Infinity"],
)
def test_a_missing_cell_is_a_missing_sample_in_its_place(tmp_path: Path, cell: str) -> None:
    lines = (HEAD + rows()).splitlines()
    lines[501] = f"{seconds(500)},{cell},0.5,{cell}"
    lines[601] = f"{seconds(600)},{cell},{cell},{cell}"
    want = MV.copy()
    want[:, 500] = np.nan, 0.5, np.nan
    want[:, 600] = np.nan
    with open_record(put(tmp_path, "\n".join(lines))) as record:
        np.testing.assert_allclose(record.read(0, N), want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "  "])
@pytest.mark.parametrize("word", ["#N/A", "#NUM!", "#value!", "#DIV/0!", '"#REF!"'])
def test_a_row_that_begins_with_a_hole_of_a_spreadsheet_is_no_comment(
    tmp_path: Path, word: str, separator: str
) -> None:
    lines = (HEAD[7:] + rows(time=None)).splitlines()
    want = MV.copy()
    for at in (0, 500, 501, N - 1):
        lines[1 + at] = f"{word},0.5,{word}"
        want[:, at] = np.nan, 0.5, np.nan
    lines.insert(400, "#NA is a lead that is off")
    text = "\n".join(lines).replace(",", separator)
    with open_record(put(tmp_path, text), sampling_hz=250) as record:
        assert (record.n_samples, record.warnings) == (N, ())
        np.testing.assert_allclose(record.read(0, N), want, rtol=1e-6, atol=1e-7)


def test_a_lead_of_nothing_but_holes_of_a_spreadsheet(tmp_path: Path) -> None:
    text = "# sampling_hz: 250\nII,V1\n" + "".join(f"#N/A,{i % 7}.5\n" for i in range(N))
    with open_record(put(tmp_path, text), unit="mV") as record:
        assert np.isnan(record.read(0, N)[0]).all()
        assert record.read(0, N)[1, 8] == 1.5
    with open_record(put(tmp_path, "# sampling_hz: 250\nII\n0.1\n#N/A\n0.2\n")) as record:
        np.testing.assert_allclose(record.read(0, 3), [[0.1, np.nan, 0.2]], rtol=1e-6)


def test_a_short_row_that_begins_with_a_hole_is_said(tmp_path: Path) -> None:
    text = HEAD[7:] + rows(time=None).replace("\n", "\n#N/A,0.5\n", 1)
    with pytest.raises(InputError, match=r"line 3: '#N/A,0\.5' is no row of 3 values"):
        open_record(put(tmp_path, text), sampling_hz=250)


def test_a_column_of_nothing_but_empty_cells_is_missing(tmp_path: Path) -> None:
    text = "time,II,V1,V5\n" + "".join(f"{i / 250:.3f},,,{i % 7}.5\n" for i in range(1000))
    with open_record(put(tmp_path, text), unit="mV") as record:
        assert np.isnan(record.read(0, 1000)[:2]).all()


def test_header_in_the_middle_and_text_at_the_end(tmp_path: Path) -> None:
    lines = rows().splitlines()
    text = HEAD + "\n".join([*lines[:500], HEAD.strip(), *lines[500:], "", "End of recording", ""])
    with open_record(put(tmp_path, text)) as record:
        assert record.n_samples == N
        assert [w[:9] for w in record.warnings] == ["line 502:", "line 1004"]


REFUSED = {
    "no text": (np.random.default_rng(1).bytes(5000), "is no CSV: it holds bytes that are no text", {}),
    "no header": (rows(), "no header.*--leads II,V1,V5$", {}),
    "no header, no rate": (rows(time=None), "no header.*--leads II,V1,V5 and --rate 250", {}),
    "another number of leads": (rows(), "3 columns of values for the 2 leads", {"leads": ("II", "V1")}),
    "text in a cell": (HEAD + rows().replace("\n0.400,", "\n0.400,a"), "line 102: 'a.*is no number", {}),
    "text in the times": (HEAD + rows().replace("\n0.400,", "\nx0.400,"), "line 102: 'x0.400'", {}),
    "text between rows": (HEAD + rows().replace("\n0.400,", "\nlost\n0.400,"), "line 102: 'lost'", {}),
    "a short row": (HEAD + rows().replace("\n0.400,", "\n0.4,1\n0.400,"), "line 102: it has 2 cells", {}),
    "two rates": ("# sampling_hz: 500\n" + HEAD + rows(), "500 Hz.*'time_s'.*250 Hz", {}),
    "caller's rate": (HEAD + rows(), "250 Hz, not 500", {"sampling_hz": 500}),
    "two recordings": (HEAD + rows() + rows(), "go back after 3.996 s, line 1002", {}),
    "a gap of days": (HEAD + rows() + "200000,1,2,3\n", "h are missing after 3.996 s, line 1002", {}),
    "OpenBCI": (
        "%Sample Rate = 250 Hz\nSample Index, EXG Channel 0\n"
        + "".join(f"{i % 256}, {i}\n" for i in range(900)),
        "it has Sample Index, EXG Channel 0; .*--leads",
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_says_where_and_what_to_do(tmp_path: Path, what: str) -> None:
    text, says, options = REFUSED[what]
    with pytest.raises(InputError, match=says) as caught:
        open_record(put(tmp_path, text), **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_without_a_header_the_caller_names_the_columns(tmp_path: Path) -> None:
    for text, rate in ((rows(), None), (rows(time=None), 250.0), (rows(time=str), 250.0)):
        with open_record(put(tmp_path, text), INPUT_LEADS, sampling_hz=rate) as record:
            assert record.sampling_hz == 250.0
            np.testing.assert_allclose(record.read(0, N), MV, rtol=1e-6, atol=1e-7)
            assert "no header" in record.warnings[0]
    with open_record(put(tmp_path, rows()), {"V5": "#2"}) as record:
        np.testing.assert_allclose(record.read(0, N), MV[:1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("decimal", [".", ","])
def test_watch_export_of_one_lead(tmp_path: Path, decimal: str) -> None:
    text = (
        "Name,A B\nRecorded Date,2023-01-02 10:11:12 +0100\nClassification,Sinus Rhythm\nSymptoms,\n"
        'Device,"Watch6,1"\nSample Rate,512 hertz\n\n\nLead,Lead I\nUnit,\u00b5V\n\n'
    )
    text += "".join(f"{value * 1000:.3f}\n".replace(".", decimal) for value in MV[0])
    with open_record(put(tmp_path, text)) as record:
        assert (record.leads, record.sampling_hz, record.device) == (("I",), 512.0, "Watch6,1")
        assert record.started_at == datetime(
            2023, 1, 2, 10, 11, 12, tzinfo=timezone(timedelta(hours=1))
        )
        np.testing.assert_allclose(record.read(0, N), MV[:1], rtol=1e-6, atol=1e-6)


def test_units_that_contradict_each_other_are_said(tmp_path: Path) -> None:
    text = "# unit: mV\ntime_s,II (uV),V1 (uV),V5 (uV)\n" + rows(scale=1000)
    with open_record(put(tmp_path, text)) as record:
        np.testing.assert_allclose(record.read(0, N), MV, rtol=1e-6, atol=1e-7)
        assert "read in uV" in record.warnings[0]
    with open_record(put(tmp_path, HEAD + rows(scale=1000)), unit="uV") as record:
        np.testing.assert_allclose(record.read(0, N), MV, rtol=1e-6, atol=1e-7)


def test_our_own_file_with_gaps_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    sent = ecg(300)
    metadata = Metadata(device="Band 7", simulated=True, started_at=START)
    with open_sink(f"file:{path}", 250.0, metadata=metadata) as sink:
        sink.write(block(sent[:, :100], 50))
        sink.write(block(sent[:, 100:], 650))
    with open_record(path) as record:
        assert (record.sampling_hz, record.n_samples) == (250.0, 800)
        assert (record.device, record.simulated) == ("Band 7", True)
        assert record.started_at == START
        got = record.read(0, 800)
        assert any("I, aVR" in w or "reconstructed by leadlift" in w for w in record.warnings)
    np.testing.assert_allclose(got[:, :100], sent[:, :100], atol=5.1e-6)
    np.testing.assert_allclose(got[:, 600:], sent[:, 100:], atol=5.1e-6)
    assert np.isnan(got[:, 100:600]).all()
    with open_record(path, INPUT_LEADS) as record:
        assert not any("reconstructed" in w for w in record.warnings)


def test_a_long_file_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    piece = "".join(f"{i % 50 / 50},0.25,-1\n" for i in range(1000))
    path.write_text("# sampling_hz: 250\nII,V1,V5\n" + piece * 400)
    assert path.stat().st_size > 16 * CHUNK_BYTES
    tracemalloc.start()
    with open_record(path) as record:
        assert record.n_samples == 400_000
        for start in range(0, 400_000, 39_999):
            assert record.read(start, start + 1)[0, 0] == np.float32(start % 50 / 50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * CHUNK_BYTES


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    dialect=st.sampled_from([(",", "."), (";", ","), (";", "."), ("\t", ","), ("\t", "."), (" ", ".")]),
    encoding=st.sampled_from(ENCODINGS),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    quote=st.sampled_from(["", '"']),
    header=st.booleans(),
    time=st.sampled_from([seconds, None]),
    values=st.lists(
        st.lists(st.one_of(st.floats(-5, 5, width=32), st.none()), min_size=3, max_size=3),
        min_size=8,
        max_size=30,
    ),
)  # fmt: skip
def test_any_dialect_reads_back(
    tmp_path: Path,
    dialect: tuple[str, str],
    encoding: str,
    newline: str,
    quote: str,
    header: bool,
    time: Callable[[int], str] | None,
    values: list[list[float | None]],
) -> None:
    separator, decimal = dialect
    values[0] = [0.125, -0.5, 1.25]
    names = ["time_s", "II", "V1", "V5"] if time else ["II", "V1", "V5"]
    table = [
        [
            *([time(i)] if time else []),
            *("nan" if v is None else f"{v:.6f}" for v in row),
        ]
        for i, row in enumerate(values)
    ]
    lines = [[cell.replace(".", decimal) for cell in row] for row in table]
    text = newline.join(
        separator.join(f"{quote}{cell}{quote}" for cell in row)
        for row in ([names] if header else []) + lines
    )
    path = tmp_path / "any.csv"
    path.write_bytes((text + newline).encode(encoding))
    rate = None if time else 250.0
    with open_record(path, INPUT_LEADS, sampling_hz=rate) as record:
        assert record.sampling_hz == 250.0
        got = record.read(0, record.n_samples)
    want = np.array([[np.nan if v is None else v for v in row] for row in values]).T
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("start", [b"", b"II,V1,V5\n", (HEAD + rows()).encode()[:3000]])
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tail=st.one_of(
        st.binary(max_size=200),
        st.text("0123456789.,;:-+eE#%\"' \t\n\rnaIVms[]/TZ", max_size=200).map(str.encode),
    ),
    leads=st.sampled_from([None, INPUT_LEADS, {"II": "#1"}]),
    rate=st.sampled_from([None, 250.0]),
)
def test_any_bytes_give_a_record_or_one_line(
    tmp_path: Path, start: bytes, tail: bytes, leads: tuple[str, ...] | None, rate: float | None
) -> None:
    path = tmp_path / "fuzz.csv"
    path.write_bytes(start + tail)
    try:
        with open_record(path, leads, sampling_hz=rate) as record:
            record.read(0, min(record.n_samples, 10_000))
    except InputError as error:
        assert "\n" not in str(error)
