"""The C sources as a library of the Arduino IDE and of PlatformIO: what the metadata says is there."""

from __future__ import annotations

import json
import re

import edge
from firmware_bridge.firmware.generate import SOURCES


def properties() -> dict[str, str]:
    lines = (SOURCES / "library.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def manifest() -> dict:
    return json.loads((SOURCES / "library.json").read_text())


def test_the_arduino_library_says_all_that_the_library_manager_asks_for() -> None:
    said = properties()
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category"}
    assert set(said) == required | {"url", "architectures", "includes"}
    assert all(said.values())
    assert re.fullmatch(r"[a-zA-Z0-9][\w .-]{0,62}", said["name"])
    assert said["category"] in {"Communication", "Sensors", "Signal Input/Output"}
    assert said["sentence"].endswith(".") and said["name"] not in said["paragraph"].split()


def test_both_packages_have_the_projects_version_and_name() -> None:
    arduino, platformio = properties(), manifest()
    assert arduino["version"] == platformio["version"] == edge.__version__
    assert arduino["name"] == platformio["name"] == "leadlift"


def test_the_folder_is_a_flat_arduino_library() -> None:
    """Sources in the root are compiled, and `src` would turn that off; a sketch is named as its folder."""
    assert not (SOURCES / "src").exists() and not (SOURCES / "utility").exists()
    for name in properties()["includes"].split(","):
        assert (SOURCES / name).is_file()
    (sketch,) = SOURCES.glob("examples/*/*.ino")
    assert sketch.stem == sketch.parent.name
    included = re.findall(r"#include <([a-z0-9]+\.h)>", sketch.read_text())
    assert included == ["ads1293.h", "leadlift.h"]
    assert all((SOURCES / name).is_file() for name in included)
    assert not any(path.is_symlink() for path in SOURCES.rglob("*"))


def test_platformio_compiles_what_arduino_does_and_packs_all_that_it_needs() -> None:
    said = manifest()
    compiled = {rule[2:-1] for rule in said["build"]["srcFilter"] if rule.startswith("+")}
    assert compiled == {path.name for path in SOURCES.glob("*.c")}
    assert said["build"]["srcFilter"][0] == "-<*>"
    assert said["build"]["srcDir"] == said["build"]["includeDir"] == "."
    assert set(said["headers"]) == {path.name for path in SOURCES.glob("*.h")}
    for example in said["examples"]:
        assert all((SOURCES / example["base"] / name).is_file() for name in example["files"])
    packed = {path for rule in said["export"]["include"] for path in SOURCES.glob(rule)}
    assert packed >= {*SOURCES.glob("*.[ch]"), *SOURCES.glob("library.*"), SOURCES / "examples"}
    assert not any(path.suffix == ".py" for path in packed)


def test_there_is_one_copy_of_each_source() -> None:
    """The driver stays with the examples; what stands in the root only includes it."""
    for name in ("ads1293.c", "ads1293.h"):
        *_, line = (SOURCES / name).read_text().splitlines()
        assert line == f'#include "examples/{name}"'
    names = [path.name for path in SOURCES.rglob("leadlift.[ch]")]
    assert sorted(names) == ["leadlift.c", "leadlift.h"]
