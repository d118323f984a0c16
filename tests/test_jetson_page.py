"""The Jetson page: its table is the program's, its service file is one that systemd takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.jetpack import JETPACKS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / ".github" / "JETSON.md").read_text(encoding="utf-8")
(UNIT,) = re.findall(r"^```ini\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_table_is_that_of_doctor() -> None:
    rows = re.findall(r"^\| (\d.*?) \|$", PAGE, re.MULTILINE)
    assert [row.split(" | ") for row in rows] == [
        [r.jetpack, r.l4t, r.tensorrt, r.cuda, r.python, r.cuda_bindings, r.boards]
        for r in JETPACKS
    ]


def test_it_is_linked_and_claims_no_run() -> None:
    """Until a report of a Jetson is here."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert ".github/JETSON.md" in readme
    assert "not yet run on a Jetson" in " ".join(readme.split())
    assert "**Not yet run on a Jetson.**" in PAGE.splitlines()[2]


def test_its_own_links_have_targets() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in PAGE.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#(.*?)\)", PAGE)) <= headings


def test_the_cache_folder_of_the_service_is_as_the_cache_demands() -> None:
    assert "CacheDirectoryMode=0700" in UNIT
    (folder,) = re.findall(r"^CacheDirectory=(.*)$", UNIT, re.MULTILINE)
    assert f"LEADLIFT_CACHE=/var/cache/{folder}\n" in UNIT


def test_systemd_takes_the_service_file(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    unit = tmp_path / "leadlift.service"
    unit.write_text(UNIT)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    about_ours = [line for line in done.stderr.splitlines() if "leadlift" in line]
    assert about_ours == []
    assert done.returncode == 0, done.stderr
