"""Versions against ranges, our files against RECORD: what another distribution did to them is seen."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path

import pytest

from edge.installed import file_misfits, fits, installed_version, requirements, version_misfits


@pytest.mark.parametrize(
    ("version", "ranges", "fit"),
    [
        ("1.26.4", ">=1.26, <3", True),
        ("1.26", ">=1.26.0", True),
        ("1.9.0", ">=1.26", False),
        ("3.0.0", "<3,>=1.26", False),
        ("2.2.0rc1", ">=1.26,<3", True),
        ("10.3.0+cu12", ">=10.3,!=10.4", True),
        ("10.4.0", ">=10.3,!=10.4", False),
        ("", ">=1", False),
        ("5", "", True),
    ],
)
def test_ranges(version: str, ranges: str, fit: bool) -> None:
    assert fits(version, ranges) is fit


def test_what_is_out_of_range_is_named_with_the_command() -> None:
    lines = [
        "numpy<1.20,>=1.10",
        "pytest>=1",
        'torch>=99; extra == "train"',
        "no-such-package-here>=1",
    ]
    assert list(requirements(lines)) == ["numpy", "pytest", "no-such-package-here"]
    (misfit,) = version_misfits(lines)
    assert str(misfit).startswith(f"numpy {installed_version('numpy')}: leadlift asks for <1.20")
    assert misfit.command == "pip install 'numpy<1.20,>=1.10'"


def install(site: Path, name: str, files: dict[str, str], **about: object) -> None:
    """A distribution as pip leaves it."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    if about:
        (info / "direct_url.json").write_text(json.dumps(about))
    rows = []
    for file, text in files.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f"{file},sha256={digest.decode()},{len(text)}")
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,"]) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    install(tmp_path, "ours", {"rooma/__init__.py": "", "rooma/b.py": "x = 1\n", "other/c.py": ""})
    return tmp_path


def test_files_as_installed(site: Path) -> None:
    assert file_misfits("ours", ("rooma",)) == ([], "2 files compared with RECORD")


def test_a_file_that_another_distribution_overwrote(site: Path) -> None:
    install(site, "theirs", {"rooma/b.py": "x = 2\n", "rooma/d.py": ""})
    (changed, other), _ = file_misfits("ours", ("rooma",))
    assert changed.why == "not as installed (rooma/b.py)"
    assert other.what == "theirs"
    assert changed.command == (
        "pip uninstall -y theirs && pip install --force-reinstall --no-deps ours"
    )


def test_a_file_that_is_gone(site: Path) -> None:
    (site / "rooma/__init__.py").unlink()
    ((misfit,), _) = file_misfits("ours", ("rooma",))
    assert "rooma/__init__.py" in misfit.why
    assert misfit.command == "pip install --force-reinstall --no-deps ours"


def test_where_nothing_can_be_compared_it_says_why(site: Path) -> None:
    install(site, "edited", {"rooma/e.py": ""}, dir_info={"editable": True})
    assert file_misfits("edited", ("rooma",)) == (
        [],
        "editable install: its files are the checkout's, and are not compared",
    )
    assert file_misfits("nowhere", ("rooma",))[1].startswith("not installed")


def test_damaged_metadata_are_no_end(site: Path) -> None:
    broken = site / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_bytes(b"\xff\xfe\x00")
    (broken / "RECORD").write_bytes(b"\xff,,,,\n\x00")
    assert installed_version("broken") in ("unknown", None, "1.0")
    assert file_misfits("ours", ("rooma",))[1] == "2 files compared with RECORD"
