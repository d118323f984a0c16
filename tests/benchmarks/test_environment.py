"""Provenance: what a report says of where it was made."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

import pytest

from benchmarks.environment import blas, environment, git_commit, load_average
from edge.bundle import load_bundle


def test_every_report_names_machine_versions_and_bundle() -> None:
    bundle = load_bundle()
    about = environment(bundle, "onnxruntime", 1)
    json.dumps(about)
    assert about["bundle_sha256"] == bundle.sha256
    assert about["engine"] == "onnxruntime"
    assert about["cpu"]
    assert isinstance(about["cores"], int) and about["cores"] >= 1
    versions = about["packages"]
    assert isinstance(versions, dict) and versions["numpy"].count(".") >= 2
    load = load_average()
    assert load is None or len(load) == 3


def test_a_report_says_which_kernels_of_openblas_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    usual = blas()
    assert usual and "OPENBLAS" not in usual
    if "openblas" in usual and platform.system() == "Linux":
        assert "kernels " in usual
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert blas() == f"{usual}, OPENBLAS_CORETYPE=Haswell"


def test_a_commit_says_whether_the_tree_is_that_commit(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("b")
    assert git_commit(tmp_path) == f"{commit}+changes"


def test_outside_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    assert git_commit(tmp_path / "nowhere") is None
