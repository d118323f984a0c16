"""What the TensorRT bindings have, generation by generation, and what our sources reach on them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

Surface = dict[str, set[str]]
"""Class -> its attributes; `""` is the module itself."""

VERSIONS = ("10.3.0", "10.16.1.11", "11.4.0.106")
FOLDER = "LEADLIFT_TENSORRT_BINDINGS"
ROOT = Path(__file__).resolve().parents[4]
SWITCH = "edge/engines/trt/library.py"  # the one file that may tell generations apart by itself
TOUCHING = ("trt/build.py", "trt/engine.py", "trt/stepper.py", "device/layer_report.py")
"""Files that touch TensorRT; others load it."""

# Variables that hold an object of ours wherever they stand, not one of the bindings.
OURS = ("self", "cls", "library", "_library", "cuda", "_cuda", "bundle", "options", "stepper")

SURFACE = """
import importlib, inspect, json, sys
module = importlib.import_module(sys.argv[1])
found = {"": dir(module)}
def walk(members):
    for name, value in members.items():
        if inspect.isclass(value) and not name.startswith("_") and name not in found:
            found[name] = dir(value)
            walk(vars(value))
walk(vars(module))
print(json.dumps(found))
"""

# Attributes of our own containers and arrays, which some class of the bindings has as well.
PLAIN = {name for kind in (list, dict, str, np.ndarray) for name in dir(kind)}


@dataclass(frozen=True)
class Reached:
    """One attribute in a source, whatever the object it is reached on."""

    name: str
    holder: str
    """What stands before the dot, a class of the bindings or any variable."""
    file: str
    line: int
    function: str
    """The outermost function around it, by file and first line."""
    asked: bool
    """By `getattr` or `hasattr`: its absence is allowed for."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name}"


def python_with(folder: Path | None, code: str, *arguments: str) -> str:
    """Run code in a process of its own, over the stub libraries of a generation; what it printed."""
    environment = dict(os.environ)
    if folder is not None:
        environment["LD_LIBRARY_PATH"] = str(folder / "lib")
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])
    command = [sys.executable, "-c", code, *arguments]
    made = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


def surface_of(folder: Path | None, module: str) -> Surface:
    """What the bindings in this folder have, or the installed module of that name."""
    found = json.loads(python_with(folder, SURFACE, module))
    return {kind: set(names) for kind, names in found.items()}


def sources() -> dict[str, str]:
    """The files that touch a TensorRT object: ours of that name, and whatever loads the library."""
    return {
        path.relative_to(ROOT).as_posix(): text
        for package in ("edge", "benchmarks")
        for path, text in _texts(package)
        if (path.as_posix().endswith(TOUCHING) or "load_library(" in text)
    }


def _texts(package: str) -> list[tuple[Path, str]]:
    return [
        (path, path.read_text(encoding="utf-8")) for path in sorted((ROOT / package).rglob("*.py"))
    ]


def tables(files: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """TOUCHED and TOUCHED_WHERE_PRESENT of all files together, read and not imported."""
    found: dict[str, set[str]] = {"TOUCHED": set(), "TOUCHED_WHERE_PRESENT": set()}
    for text in files.values():
        for node in ast.parse(text).body:
            target = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
            if isinstance(node, ast.Assign) and target in found:
                found[target] |= set(ast.literal_eval(node.value))
    return found["TOUCHED"], found["TOUCHED_WHERE_PRESENT"]


def reached(files: Mapping[str, str]) -> list[Reached]:
    """Every attribute in the files but those of imported modules and of what is ours by its name."""
    return [one for file, text in files.items() for one in _reached(file, ast.parse(text))]


def _reached(file: str, tree: ast.Module) -> Iterator[Reached]:
    ours = set(OURS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            ours |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    for function, node in _with_functions(tree):
        if isinstance(node, ast.Attribute):
            holder = ast.unparse(node.value).rpartition(".")[2]
            if holder not in ours and not node.attr.startswith("__"):
                yield Reached(node.attr, holder, file, node.lineno, f"{file}:{function}", False)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            holder, name = (ast.unparse(part).strip("'") for part in node.args[:2])
            yield Reached(name, holder, file, node.lineno, f"{file}:{function}", True)


def _with_functions(tree: ast.AST, function: int = 0) -> Iterator[tuple[int, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        is_function = isinstance(node, ast.FunctionDef) and not function
        within = node.lineno if isinstance(node, ast.FunctionDef) and is_function else function
        yield within, node
        yield from _with_functions(node, within)


@cache
def own_names() -> set[str]:
    """Fields and methods of our own classes: `Plan.data` is no attribute of TensorRT."""
    found = set()
    for text in (text for package in ("edge", "benchmarks") for _, text in _texts(package)):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    if isinstance(part, ast.FunctionDef):
                        found.add(part.name)
                    elif isinstance(part, ast.AnnAssign):
                        found.add(ast.unparse(part.target))
    return found


def split(entry: str) -> tuple[str, str]:
    """`ILayer.name` -> its class and attribute; what stands alone belongs to the module."""
    kind, _, name = entry.rpartition(".")
    return kind, name


def absent(touched: set[str], surface: Surface) -> list[str]:
    """Entries that this generation does not have."""
    return sorted(e for e in touched if split(e)[1] not in surface.get(split(e)[0], ()))


def outside(files: Mapping[str, str], surfaces: Mapping[str, Surface]) -> list[str]:
    """What the files reach that some generation knows and neither table names."""
    touched, present = tables(files)
    named = {part for entry in touched | present for part in split(entry)}
    known = {name for s in surfaces.values() for names in s.values() for name in names}
    ignored = named | PLAIN | own_names()
    return [str(one) for one in reached(files) if one.name in known - ignored]


def unguarded(files: Mapping[str, str], surfaces: Mapping[str, Surface]) -> list[str]:
    """What the files reach that a generation lacks, without asking whether it is there.

    On a class, `trt.DataType.INT8`, that class decides. Of a variable no type is known: its attribute is
    fickle if any class that all generations share has it in some of them alone, or if no class has it in
    all. A guard is a `hasattr` or `getattr` of that name in the same function; what the table names may also
    stand in a function that asks for anything fickle, or in the file with the switch.
    """
    _, present = tables(files)
    declared = {part for entry in present for part in split(entry)}
    classes = set.union(*(set(s) for s in surfaces.values()))

    def has(kind: str, name: str) -> list[bool]:
        return [name in s.get(kind, ()) for s in surfaces.values()]

    def is_fickle(one: Reached) -> bool:
        if one.holder in classes:
            return not all(has(one.holder, one.name))
        everywhere = [k for k in classes if all(k in s for s in surfaces.values())]
        found = [has(kind, one.name) for kind in everywhere]
        known = any(any(has(kind, one.name)) for kind in classes)
        return any(any(f) and not all(f) for f in found) or (known and not any(map(all, found)))

    fickle = [one for one in reached(files) if one.name not in PLAIN and is_fickle(one)]
    asked = {(one.function, one.name) for one in fickle if one.asked}
    asking = {function for function, _ in asked}
    return [
        str(one)
        for one in fickle
        if not one.asked
        and (one.function, one.name) not in asked
        and not (one.name in declared and (one.function in asking or one.file == SWITCH))
    ]
