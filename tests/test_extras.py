"""The extras of setup.cfg: what each machine gets, and that CI pins all of it."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from edge.jetpack import JETPACKS, JetPack

ROOT = Path(__file__).resolve().parents[1]
MACHINES = ("x86_64", "aarch64")


def extra(name: str) -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["options.extras_require"].get(name, raw=True).splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("%")]


def wanted(name: str, python: str, machine: str, platform: str = "linux") -> dict[str, Requirement]:
    on = {"python_version": python, "platform_machine": machine, "sys_platform": platform}
    return {r.name: r for r in extra(name) if r.marker is None or r.marker.evaluate(on)}


@pytest.mark.parametrize("row", JETPACKS, ids=lambda row: row.jetpack)
def test_a_jetson_gets_the_bindings_of_its_cuda(row: JetPack) -> None:
    found = wanted("jetson", row.python, "aarch64")
    assert found["cuda-bindings"].specifier == SpecifierSet(row.cuda_bindings)
    assert {"onnx", "pycuda"} < set(found)
    old_bindings = row.tensorrt == "10.3"  # give wrong arrays under NumPy 2
    assert ("numpy" in found and not found["numpy"].specifier.contains("2.0")) is old_bindings
    assert not [name for name in found if "tensorrt" in name], "JetPack brings it"


def test_tensorrt_rtx_is_asked_for_where_it_is_served() -> None:
    wheels = {"tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu13-libs"}
    for machine in MACHINES:
        assert wheels < set(wanted("trt-rtx", "3.11", machine))
    assert not wheels & set(wanted("trt-rtx", "3.11", "arm64", "darwin"))
    assert not wheels & set(wanted("trt-rtx", "3.11", "AMD64", "win32"))


def test_ci_pins_tensorrt_rtx_within_its_range() -> None:
    constraints = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^(tensorrt-rtx\S+)==(\S+)$", constraints, re.MULTILINE))
    for name, requirement in wanted("trt-rtx", "3.11", "x86_64").items():
        if name.startswith("tensorrt"):
            assert requirement.specifier.contains(pinned[name])
    assert len(set(pinned.values())) == 1, "libraries and bindings are of one release"


def test_a_hint_names_an_extra_that_is_there() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    there = set(config["options.extras_require"])
    named: dict[str, set[str]] = {}
    folders = ("edge", "firmware_bridge", "quantize", "benchmarks", "docs", "examples", "tests")
    pages = [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("containers/*")]
    for folder in folders:
        pages += [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".md")]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        said = re.findall(r"""install_extra\(["'](.+?)["']\)|'\.\[([a-z,-]+)\]'""", text)
        named[str(path)] = {name for pair in said for part in pair for name in part.split(",")}
        assert not re.search(r"leadlift\[[a-z]", text), f"{path}: leadlift is on no package index"
    named = {path: names - {""} for path, names in named.items()}
    assert sum(map(len, named.values())) > 40
    assert not {path: names - there for path, names in named.items() if names - there}
