"""The contracts of the house: who imports whom, what is public, what the README promises."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import edge
from edge.cli import main, parser
from edge.leads import INPUT_LEADS, LEADS
from edge.quality import Quality

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("benchmarks", "quantize", "edge", "firmware_bridge")  # each imports only from itself on
HEAVY = {
    *("torch", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx", "pycuda", "cuda", "scipy"),
    *("serial", "bleak", "pyedflib", "rich", "pylsl", "matplotlib", "pydicom"),
    *("starlette", "uvicorn", "websockets", "prometheus_client"),
    *("ray", "aiomqtt", "paho"),
}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MAX_LINES = 400


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(node: ast.AST) -> list[str]:
    """Top-level packages that an import statement, or a call of import_module, names."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute: one way to read them"
        return [(node.module or "").split(".")[0]]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
        ("import_module", "__import__", "find_spec")
    ):
        return [
            str(argument.value).split(".")[0]
            for argument in node.args
            if isinstance(argument, ast.Constant)
        ]
    return []


def at_module_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run on import: all but function bodies and `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def test_the_walk_sees_what_it_must() -> None:
    source = """
import numpy
if TYPE_CHECKING:
    import torch
class A:
    import rich
try:
    from onnx import helper
except ImportError:
    pass
def f():
    import scipy.signal
    importlib.import_module("quantize.data")
"""
    tree = ast.parse(source)
    found = {name for node in at_module_level(tree) for name in imported(node)}
    assert found == {"numpy", "rich", "onnx"}
    everywhere = {name for node in ast.walk(tree) for name in imported(node)}
    assert everywhere == found | {"torch", "scipy", "quantize"}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    """Nowhere, not inside a function either, does a package import one that stands before it."""
    before = set(PACKAGES[: PACKAGES.index(package)]) | {"tests"}
    files = [path for path in FILES if path.is_relative_to(ROOT / package)]
    assert len(files) > 5
    for path in files:
        for node in ast.walk(tree_of(path)):
            assert not before & set(imported(node)), f"{named(path)}: {ast.unparse(node)}"


def test_the_device_part_has_no_heavy_import_at_module_level() -> None:
    for path in FILES:
        if path.relative_to(ROOT).parts[0] not in ("edge", "firmware_bridge"):
            continue
        for node in at_module_level(tree_of(path)):
            assert not HEAVY & set(imported(node)), f"{named(path)}: {ast.unparse(node)}"


def test_every_wait_can_be_cancelled() -> None:
    """Before Python 3.12 `asyncio.wait_for` may forget a cancellation: `transports.bounded` does not."""
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "asyncio.wait_for", f"{named(path)}: use bounded"


LOADED = """
import sys
before = set(sys.modules)
import {module} as imported
for name in getattr(imported, "__all__", ()):
    getattr(imported, name)  # `edge` imports a name when it is used
from pathlib import Path
def third_party(name):
    origin = getattr(sys.modules[name], "__file__", None) or ""
    return bool({{"site-packages", "dist-packages"}} & set(Path(origin).parts))
found = {{name.split(".")[0] for name in set(sys.modules) - before if third_party(name)}}
print(",".join(sorted(found)))
"""


@pytest.mark.parametrize(
    "module", ["edge", "edge.commands.program", "edge.live.runtime", "firmware_bridge.source"]
)
def test_the_device_part_imports_numpy_alone(module: str) -> None:
    script = LOADED.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    ours = {"edge", "firmware_bridge"}  # where they are installed, not a checkout
    assert set(done.stdout.strip().split(",")) - ours == {"numpy"}


def test_the_entry_of_the_command_line_is_light() -> None:
    """Ctrl-C while the rest loads is met by the entry: until then nothing of ours, or NumPy, may load."""
    script = "import edge.cli, sys; print(*(n for n in sys.modules if n.split('.')[0] in ('edge', 'numpy')))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) == {"edge", "edge.cli"}


def test_public_names_are_pinned() -> None:
    assert set(edge.__all__) == {
        *("INPUT_LEADS", "LEADS", "Provenance", "Quality"),
        *("Reconstructor", "MultiReconstructor", "open", "reconstruct", "Stream", "open_stream"),
        *("Marker", "SampleBlock", "TwelveLeadBlock"),
        *("Sink", "open_sink", "LiveStatus", "Metadata"),
        *("BundleError", "EngineError", "InputError", "LeadliftError"),
        *("PatientError", "SinkError", "Engine", "Sink", "open_sink"),
    }
    assert all(hasattr(edge, name) for name in edge.__all__)
    assert LEADS == ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    assert INPUT_LEADS == ("II", "V1", "V5")


def test_quality_bits_are_pinned() -> None:
    assert {flag.name: flag.value for flag in Quality} == {
        "INTERPOLATED": 1,
        "LEAD_OFF": 2,
        "SETTLING": 4,
        "CLIPPED": 8,
        "NOISY": 16,
        "GAP": 32,
        "MISPLACED": 64,
    }


def test_members_of_the_reconstructor_and_its_blocks_are_pinned() -> None:
    assert {
        *("open", "push", "reset", "skip", "close"),
        *("hop", "lookahead", "receptive_field", "algorithmic_latency_s", "sampling_hz"),
    } <= set(dir(edge.Reconstructor))
    assert {"ecg_mv", "sigma_mv", "quality", "first_sample", "sampling_hz", "provenance"} <= set(
        dir(edge.TwelveLeadBlock)
    )


LIVE = {"--leads", "--model", "--engine", "--seconds", "--report"}
COMMANDS = {
    "demo": {"--headless", *LIVE},
    "run": {"--source", "--sink", "--patient", *LIVE},
    "reconstruct": {"--leads", "--unit", "--rate", "--model", "--engine", "--patient"},
    "calibrate": {"-o", "--leads", "--reference-leads", "--unit", "--rate", "--model", "--engine"},
    "repair": {"-o"},
    "devices": set(),
    "doctor": {"--json"},
    "monitor": {"--capture"},
    "simulate": {"--device"},
    "build-engine": {
        *("--model", "--frames", "--library", "--compute-capability"),
        *("--output", "--report", "--force"),
    },
}


def test_commands_and_their_options_are_pinned() -> None:
    """More are welcome; these are called by other programs."""
    (found,) = (a.choices for a in parser()._actions if isinstance(a.choices, dict))
    assert set(COMMANDS) <= set(found)
    for command, options in COMMANDS.items():
        assert options | {"--debug"} <= set(found[command]._option_string_actions), command


def exit_code(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:  # argparse
        return int(end.code or 0)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["run", "--help"], 0),
        (["devices"], 0),
        (["reconstruct", "nowhere.edf", "out.edf"], 1),
        (["run", "--source", "replay:nowhere.llcap", "--sink", "file:out.npz"], 1),
        (["reconstruct", "nowhere.edf", "out.edf", "--model", "nowhere.onnx"], 1),
        ([], 2),
        (["dance"], 2),
        (["run", "--sink", "terminal:"], 2),
        (["run", "--source", "cable:x", "--sink", "terminal:"], 2),
        (["run", "--source", "sim:", "--sink", "paper:"], 2),
        (["run", "--source", "sim:", "--sink", "terminal:", "--engine", "abacus"], 2),
        (["demo", "--seconds", "soon"], 2),
        (["build-engine", "--model", "nowhere.onnx"], 1),
        (["build-engine", "--frames", "0"], 2),
        (["build-engine", "--compute-capability", "fast"], 2),
        (["build-engine", "--library", "tensorflow"], 2),
    ],
)
def test_exit_codes_are_pinned(
    arguments: list[str],
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(arguments) == code
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    if code == 1:
        assert len(shown.err.splitlines()) == 1


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_file_says_its_purpose_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES
    if text.strip():
        first = ast.get_docstring(ast.parse(text))
        assert first, "the first line of the docstring says the file's one purpose"


def test_other_files_are_short_too() -> None:
    kinds = {".c", ".h", ".md", ".js", ".html", ".css", ".cfg", ".toml", ".yml"}
    folders = [ROOT / name for name in (*PACKAGES, "tests", "docs", "examples", ".ci", ".github")]
    files = [p for folder in folders for p in folder.rglob("*") if p.suffix in kinds]
    tests = (ROOT / "tests").rglob("*.py")
    for path in [*files, *tests, ROOT / "README.md", ROOT / "setup.cfg", ROOT / "pyproject.toml"]:
        assert path.read_text(encoding="utf-8").count("\n") <= MAX_LINES, named(path)


# What the README shows.

README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in FENCE.findall(README) if language == "python"]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / ".github").glob("*.md"),
]
SHELL = "\n".join(
    code
    for page in PAGES
    for kind, code in FENCE.findall(page.read_text(encoding="utf-8"))
    if kind in ("sh", "bash", "text")
)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")
PROGRAM = re.compile(r" *(leadlift|python3? -m (?!venv)\w+(?:\.\w+)*) +(.*)")


def shown_commands() -> list[tuple[str, str, list[str]]]:
    """(program, command, options) of each line; alternatives stand apart with ` | ` between."""
    found = []
    for line in re.split(r"\n|&&|;", SHELL):
        shown = PROGRAM.match(line.split("#")[0])
        for alternative in shown[2].split(" | ") if shown else []:
            options = re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", alternative)
            found.append((shown[1], alternative.split()[0], options))
    return found


def test_the_readme_is_short_and_figures_have_pages() -> None:
    assert README.count("\n") <= 120
    assert {"fidelity.md", "latency.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", [*ROOT.glob("*/**/*.md"), ROOT / "README.md"], ids=named)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    if not set(page.relative_to(ROOT).parts) & {"build", ".venv", "runs", "node_modules"}:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{named(page)} links to {target}"


def test_the_readme_shows_code_and_commands() -> None:
    assert PYTHON
    assert {"demo", "run", "reconstruct"} <= {command for _, command, _ in shown_commands()}


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.strip().splitlines()[-1][:30])
def test_python_of_the_readme_runs(
    code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize(("program", "command", "options"), shown_commands())
def test_commands_of_the_readme_exist(
    program: str, command: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if program == "leadlift":
        run = main
    elif program.endswith(" quantize"):
        pytest.importorskip("scipy", reason="quantize needs '.[test]'")
        from quantize.__main__ import main as run  # type: ignore[assignment]
    elif program.endswith(" benchmarks"):
        pytest.importorskip("scipy", reason="benchmarks needs '.[test]'")
        from benchmarks.__main__ import main as run  # type: ignore[assignment]
    else:
        assert (ROOT / program.split()[-1].replace(".", "/")).exists(), program
        return
    with pytest.raises(SystemExit) as end:
        run([command, "--help"])
    assert not end.value.code, capsys.readouterr().err
    help_text = capsys.readouterr().out
    for option in options:
        assert re.search(rf"{option}\b", help_text), f"{program} {command} has no {option}"
