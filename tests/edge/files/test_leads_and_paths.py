"""How the caller names leads and files, the same for every format."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.errors import InputError
from edge.files.formats import FORMATS, kept, readable, writer_for, written
from edge.files.lead_option import parse_leads
from edge.files.record import pick_leads
from edge.files.records import open_record, split_pick
from tests.edge.files.edf_files import EdfFile, Signal, ramps, three

HERE = Path("file")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("II,V1,V5", ("II", "V1", "V5")),
        (" ii , v1 ", ("II", "V1")),
        ("ECG II,V1-Ref", {"II": "ECG II", "V1": "V1-Ref"}),
        ("II='CH1',V1=\"CH2\"", {"II": "CH1", "V1": "CH2"}),
        ("II=CH1,V1,V5=C5", {"II": "CH1", "V1": "V1", "V5": "C5"}),
        ("II='CH,1',V1='it''s',V5=\"a\"\"b\"", {"II": "CH,1", "V1": "it's", "V5": 'a"b'}),
        ("II=a=b,V1='CH'2", {"II": "a=b", "V1": "'CH'2"}),
        ("II=#1,V1=#3", {"II": "#1", "V1": "#3"}),
        ("'ECG, II'='x'", {"II": "x"}),
        ("II = CH 1 , V1 = CH 2", {"II": "CH 1", "V1": "CH 2"}),
        ("MDC_ECG_LEAD_II=x", {"II": "x"}),
        ("II,V1;V5", ("II", "V1", "V5")),
        ("II; v1 ;V5", ("II", "V1", "V5")),
        ("ii v1 avf", ("II", "V1", "aVF")),
        ("II V1,V5", ("II", "V1", "V5")),
        ("lead II;V1", {"II": "lead II", "V1": "V1"}),
        ("II='CH;1';V1=CH 2", {"II": "CH;1", "V1": "CH 2"}),
        ("II V9", None),
        ("II II", None),
        ("II,,V1", None),
        ("CH1,V1", None),
        ("II,V9", None),
        ("II,II", None),
        ("II=", None),
        ("", None),
        ("II,", None),
        ("=CH1", None),
    ],
)
def test_what_the_option_means(text: str, means: object) -> None:
    if means is None:
        with pytest.raises(InputError, match="--leads"):
            parse_leads(text)
    else:
        assert parse_leads(text) == means


@pytest.mark.parametrize(
    ("labels", "wanted", "picked"),
    [
        (["V5", "ECG II", "V1"], ("II", "V1"), [1, 2]),
        (["CH1", "CH2"], {"II": "CH1", "V1": "CH2"}, [0, 1]),
        (["CH1", "CH2"], {"II": " ch2"}, [1]),
        (["CH1", "CH2"], {"II": "#2"}, [1]),
        (["#2", "CH2"], {"II": "#1"}, [0]),
        (["ECG  II", "V1"], {"II": "ECG II", "V1": "Lead V1"}, [0, 1]),
        (["I", "II"], {"II": "I"}, [0]),  # the caller knows that they are exchanged
        (["CH1"], {"II": "CH9"}, "lacks 'CH9' for II: it has CH1"),
        (["CH1"], {"II": "#2"}, "lacks '#2' for II"),
        (["CH1"], {"II": "II", "V1": "CH1"}, "lacks II: it has CH1"),
        (["CH1", "V1"], {"II": "V1", "V1": "V1"}, "gives one signal to two leads"),
        (["CH1", "CH2"], None, "lacks any ECG lead: it has CH1, CH2; .* \"II='CH1'\""),
        (["CH1", "II"], ("II", "V1"), "lacks V1: .*V1='CH1'"),
        (["time [s]", "CH1", "index", "CH2"], None, "lacks any ECG lead: .* \"II='CH1'\""),
        (["t_ms", "I", "II"], ("II", "V1"), "lacks V1: .*; --leads II does without"),
        (["EEG C3-A2", "Resp", "EKG1-2"], ("II",), "lacks II: .*II='EKG1-2'"),
        (["EEG C3-A2", "EOG"], ("II",), "lacks II: .*II='CH1'"),
        (["", " ", ""], ("II", "V1", "V5"), "it has '', '', ''; .*\"II=#1,V1=#2,V5=#3\""),
        (["ECG", "ECG", "X"], ("II", "V1", "V5"), ".*\"II=#1,V1=#2,V5='X'\""),
        (["a\tb", "#2", "it's"], ("II", "V1", "V5"), ".*\"II=#1,V1=#2,V5='it''s'\""),
    ],
)
def test_which_signal_is_which_lead(labels: list[str], wanted: object, picked: object) -> None:
    if isinstance(picked, str):
        with pytest.raises(InputError, match=picked):
            pick_leads(labels, wanted, HERE)  # type: ignore[arg-type]
    else:
        said: list[str] = []
        assert pick_leads(labels, wanted, HERE, said)[1] == picked  # type: ignore[arg-type]
        assert said == []


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["ECG II", "MLII", "V1"], ("II",)),
        (["ECG II", "Lead II"], None),
        (["A", "A"], {"II": "A"}),
    ],
)
def test_of_two_signals_with_one_name_the_one_taken_is_said(
    labels: list[str], wanted: object
) -> None:
    said: list[str] = []
    assert pick_leads(labels, wanted, HERE, said)[1][0] == 0  # type: ignore[arg-type]
    assert len(said) == 1
    assert all(part in said[0] for part in ("II", "#1", "#2", "--leads II=#2"))


def test_the_advice_to_take_the_other_signal_names_every_lead() -> None:
    said: list[str] = []
    labels = ["V1", "V1", "V5", "II"]
    pick_leads(labels, ("II", "V1", "V5"), Path("a.edf"), said)
    (advice,) = said
    advised = parse_leads(advice.split("--leads ")[1].split()[0])
    assert pick_leads(labels, advised, Path("a.edf"))[1] == [3, 1, 2]


@pytest.mark.parametrize("beside", ["O1-A2", "EEG Fp1", "F3", "EOG(L)", "Chin EMG", "M2"])
def test_c3_beside_eeg_is_no_chest_lead(tmp_path: Path, beside: str) -> None:
    codes = ramps(5, 1000)
    labels = ("C3", beside, "C4", "II", "V1")
    path = EdfFile([Signal(x, codes[i]) for i, x in enumerate(labels)]).write(tmp_path / "a.edf")
    with open_record(path) as record:
        assert record.leads == ("II", "V1")
    with pytest.raises(InputError, match=r"lacks V3: .*C3, C4 beside EEG"):
        open_record(path, ("II", "V3"))
    with open_record(path, {"V3": "C3"}) as record:
        np.testing.assert_allclose(record.read(0, 9), codes[:1, :9] * 0.0005, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "file", "pick"),
    [
        ("a.npz#17", "a.npz", "17"),
        ("A.NPZ#0", "A.NPZ", "0"),
        ("Patient #7.edf", "Patient #7.edf", ""),
        ("p #2.npz", "p #2.npz", ""),
        ("a.npz#1/b.edf", "a.npz#1/b.edf", ""),
        ("v#1/a.npz#2", "v#1/a.npz", "2"),
    ],
)
def test_a_number_sign_picks_a_record_of_an_npz_only(name: str, file: str, pick: str) -> None:
    assert split_pick(name) == (Path(file), pick)


def test_a_file_whose_name_looks_like_a_pick(tmp_path: Path) -> None:
    path = tmp_path / "a.npz#1"
    with path.open("wb") as file:
        np.savez(file, ecg_mv=np.ones((1, 9)), leads=["II"], sampling_hz=250.0)
    with open_record(path) as record:
        assert record.n_samples == 9


@pytest.mark.parametrize("name", ["up.EDF", "a.rec", "none", "dot.", "wrong.txt", "wrong.npz"])
def test_the_content_tells_an_edf_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = EdfFile(three(ramps(3, 1000))).write(tmp_path / name)
    with open_record(path) as record:
        assert record.n_samples == 1000


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("r.hea", b"r 3 250 2500\n", "describes 0"),
        ("r.dat", bytes(3000), "WFDB signal"),
        ("r.xml", b"<?xml version='1.0'?>", "XML"),
        ("r.edf.gz", b"\x1f\x8b\x08", "unpack it first"),
        ("r", b"\x89HDF\r\n", "none that is known"),
        ("r.edf", b"", "only the start"),
        ("r.edf", b"II,V1,V5\n1,2,3\n", "is no EDF"),
        ("r.npz", b"II,V1,V5\n1,2,3\n", "as NPZ"),
        ("r.npy", b"\x93NUMPY\x01\x00", "NumPy array"),
        ("r.csv", b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "workbook"),
    ],
)
def test_other_files_of_the_field_are_one_clear_line(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        open_record(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", [".", "/", "..", "none.edf", "none.npz", "none"])
def test_what_is_not_there_is_one_line(path: str) -> None:
    with pytest.raises(InputError, match=r"does not exist|is a directory"):
        open_record(path)


def test_what_is_no_file_to_read_is_said_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.edf")
    with pytest.raises(InputError, match="is no regular file"):
        open_record(tmp_path / "pipe.edf")
    with pytest.raises(InputError, match="File name too long"):
        open_record(tmp_path / ("a" * 300 + ".edf"))


NAMES = ("mit Leerzeichen", "Zo\u00eb M\u00fcller", "\u5fc3\u7535\u56fe", "a'b\"c", "x\udcff")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=lambda environment: ",".join(environment.values()) or "as it is",
)
def test_names_in_any_script_are_read_and_said_under_any_locale(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Read, refused and answered: a file that is whole is one line on stdout, one that is not on stderr."""
    file = EdfFile(three(ramps(3, 1000)))
    whole = [file.write(tmp_path / f"{name}.edf") for name in NAMES]
    cut = [tmp_path / f"{name}.npz" for name in NAMES]
    for path in cut:
        path.write_bytes(b"PK")
    script = "import sys; from edge.cli import main; [main(['repair', x]) for x in sys.argv[1:]]"
    done = subprocess.run(
        [sys.executable, "-c", script, *map(os.fsencode, [*whole, *cut])],
        env=os.environ | environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.count(b": nothing to repair\n") == len(NAMES)
    assert done.stderr.count(b"leadlift: error: cannot read") == len(NAMES)
    assert done.stderr.count(b"\n") == len(NAMES)


def test_the_table_of_formats_is_what_readers_and_writers_know() -> None:
    assert written() == ".edf|.npz|.csv|.hea|.dcm"
    assert readable() == ".edf, .bdf, .npz, .csv, .hea, .dcm or FILE.npz#17"
    assert all(f"{form.suffixes[0]} ({form.keeps})" in kept() for form in FORMATS if form.writer)
    suffixes = [suffix for form in FORMATS for suffix in form.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert writer_for(Path("A.EDF")) is writer_for("b.edf")
    for name in ("a.rec", "a.bdf", "a.txt", "a"):
        with pytest.raises(InputError, match=r"\.edf, \.npz, \.csv"):
            writer_for(name)
