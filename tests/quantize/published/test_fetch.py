"""Files from a web server: checked, resumed, tried again, and never outside their folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.quantize.published.physionet import Served, served, tree

pytest.importorskip("requests", reason="fetching needs requests: install '.[test]'")

from quantize.errors import QuantizeError
from quantize.published import fetch as fetching
from quantize.published.fetch import Server, wanted
from quantize.published.sets import NSTDB, PTB_XL, DataSet

BW = "nstdb/1.0.0/bw.dat"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree as PhysioNet has it; nobody waits for it."""
    monkeypatch.setattr(fetching, "WAIT_S", 0.0)
    tree(tmp_path / "server")
    return tmp_path / "server"


@pytest.fixture
def server(published: Path) -> Iterator[Served]:
    with served(published) as state:
        yield state


def fetch(data_set: DataSet, folder: Path, address: str) -> Path:
    with Server(address) as server:
        return fetching.fetch(data_set, folder, server)


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_what_is_wanted_comes_and_nothing_else(
    server: Served, published: Path, tmp_path: Path
) -> None:
    root = fetch(PTB_XL, tmp_path / "got", server.address)
    assert names(root) == {
        "ptbxl_database.csv",
        "scp_statements.csv",
        *(f"records500/00000/0000{i}_hr.{kind}" for i in (1, 2, 3, 4) for kind in ("dat", "hea")),
    }
    for name in names(root):
        assert (root / name).read_bytes() == (published / PTB_XL.path / name).read_bytes()


def test_a_second_run_asks_for_the_list_alone(server: Served, tmp_path: Path) -> None:
    fetch(NSTDB, tmp_path, server.address)
    server.asked.clear()
    fetch(NSTDB, tmp_path, server.address)
    assert server.paths() == ["nstdb/1.0.0/SHA256SUMS.txt"]


def test_a_file_that_changed_on_the_disk_is_fetched_again(server: Served, tmp_path: Path) -> None:
    root = fetch(NSTDB, tmp_path, server.address)
    whole = (root / "bw.dat").read_bytes()
    (root / "bw.dat").write_bytes(whole[:-1] + b"?")
    fetch(NSTDB, tmp_path, server.address)
    assert (root / "bw.dat").read_bytes() == whole


@pytest.mark.parametrize("ranges", [True, False])
def test_what_was_interrupted_goes_on(
    server: Served, published: Path, tmp_path: Path, ranges: bool
) -> None:
    whole = (published / BW).read_bytes()
    part = tmp_path / f"{BW}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(whole[:1000])
    server.ranges = ranges
    fetch(NSTDB, tmp_path, server.address)
    assert (tmp_path / BW).read_bytes() == whole
    assert not part.exists()
    assert (BW, "bytes=1000-") in server.asked


def test_a_part_of_another_version_is_thrown_away(
    server: Served, published: Path, tmp_path: Path
) -> None:
    part = tmp_path / f"{BW}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"other" * 100_000)  # longer than the file, too: the server has no more
    fetch(NSTDB, tmp_path, server.address)
    assert (tmp_path / BW).read_bytes() == (published / BW).read_bytes()


def test_a_body_that_breaks_off_goes_on_where_it_broke(
    server: Served, published: Path, tmp_path: Path
) -> None:
    broken = []

    def spoil(path: str, data: bytes) -> bytes:
        if path == BW and not broken:
            broken.append(path)
            return data[: len(data) // 2]
        return data

    server.spoil = spoil
    fetch(NSTDB, tmp_path, server.address)
    assert (tmp_path / BW).read_bytes() == (published / BW).read_bytes()
    assert next(ranged for path, ranged in server.asked if path == BW) == ""
    assert len([path for path in server.paths() if path == BW]) == 2


def test_a_server_that_is_busy_is_asked_again(server: Served, tmp_path: Path) -> None:
    server.busy = 2
    assert names(fetch(NSTDB, tmp_path, server.address)) >= {"bw.dat", "em.hea"}


def test_wrong_data_never_count_as_fetched(server: Served, tmp_path: Path) -> None:
    server.spoil = lambda path, data: data[::-1] if path == BW else data
    with pytest.raises(QuantizeError, match=r"bw\.dat is not what SHA256SUMS\.txt says"):
        fetch(NSTDB, tmp_path, server.address)
    assert not (tmp_path / BW).exists()
    server.spoil = None
    fetch(NSTDB, tmp_path, server.address)
    assert (tmp_path / BW).exists()


def test_a_server_without_them_or_without_an_answer_is_one_line(
    server: Served, published: Path, tmp_path: Path
) -> None:
    (published / BW).unlink()
    with pytest.raises(QuantizeError, match=r"bw\.dat: the server answers 404"):
        fetch(NSTDB, tmp_path, server.address)
    with pytest.raises(
        QuantizeError, match=r"cannot reach http://127\.0\.0\.1:9/.*--mirror"
    ) as error:
        fetch(NSTDB, tmp_path, "http://127.0.0.1:9")
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written_is_one_line(server: Served, tmp_path: Path) -> None:
    (tmp_path / "nstdb").write_text("a file")
    with pytest.raises(QuantizeError, match=r"cannot write .*nstdb"):
        fetch(NSTDB, tmp_path, server.address)


@pytest.mark.parametrize(
    "line",
    [
        "{digest} records500/00000/../../../etc/0_hr.dat",
        "{digest} /etc/passwd",
        "<html>not found</html>",
        "",
    ],
)
def test_a_list_that_names_nothing_of_the_set_is_refused(line: str) -> None:
    with pytest.raises(QuantizeError, match="lists no file that is wanted"):
        wanted(PTB_XL, line.format(digest="0" * 64))


def test_lists_of_both_kinds_are_read() -> None:
    sums = f"{'a' * 64} bw.hea\n{'B' * 64} *./em.dat\n{'c' * 63} ma.dat\n{'d' * 64} old/ma.dat\n"
    assert wanted(NSTDB, sums) == {"bw.hea": "a" * 64, "em.dat": "b" * 64}
