"""The decoder's C compiled for this machine: which compiler, which flags, what the result depends on."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from edge.bundle import Bundle
from edge.c_export.export import RUNTIME, decoder_files
from edge.engines.cache import Built
from edge.engines.key import canonical
from edge.errors import EngineBuildError, EngineMissingError

COMPILERS = ("cc", "gcc", "clang")
ENGINE_SOURCE = "leadlift_decoder_engine.c"
NATIVE = {"x86_64": "-march=native", "AMD64": "-march=native", "aarch64": "-mcpu=native"}
FLAGS = ("-std=c99", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared")
BUILD_S = 300.0  # a second on a workstation
ELSE = "or use --engine onnxruntime"
_GENERATOR = Path(__file__).parent.parent.parent / "c_export"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Compiler:
    """A C compiler of this machine."""

    command: tuple[str, ...]
    identity: str
    """Changes when another compiler stands there: its file, size and time."""

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is asked."""
        return tuple(filter(None, (*FLAGS, NATIVE.get(platform.machine()))))


@dataclass(frozen=True)
class LibraryKey:
    """What a compiled decoder depends on."""

    bundle_sha256: str
    compiler: str
    flags: tuple[str, ...]
    processor: str
    code: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they come back from JSON."""
        return {**vars(self), "flags": list(self.flags)}

    def digest(self) -> str:
        """SHA-256 in hex."""
        return hashlib.sha256(canonical(self.as_dict())).hexdigest()


def find_compiler(environment: Mapping[str, str] = os.environ) -> Compiler:
    """$CC, or the first of cc, gcc and clang. Raises EngineMissingError where there is none."""
    asked = environment.get("CC", "").strip()
    try:
        command = shlex.split(asked) if asked else []
    except ValueError:
        command = [asked]
    for name in command[:1] or COMPILERS:
        found = shutil.which(name, path=environment.get("PATH"))
        if found is not None:
            file = Path(found).resolve()
            status = file.stat()
            identity = f"{file} {status.st_size} {status.st_mtime_ns} {shlex.join(command[1:])}"
            found = str(Path(found).absolute())  # it is run in another folder
            return Compiler((found, *command[1:]), identity.strip())
    missing = f"$CC is {asked!r}, which is not there" if asked else "there is no C compiler here"
    raise EngineMissingError(
        f"{missing}: install gcc or clang (apt install gcc), {ELSE}; the c engine is compiled on the machine"
    )


def library_key(bundle: Bundle, compiler: Compiler) -> LibraryKey:
    """The key of `bundle` compiled by `compiler` for the processor of this machine."""
    return LibraryKey(bundle.sha256, compiler.identity, compiler.flags, processor(), _code())


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The machine's processor and what it can do, in one word."""
    wanted = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
        said = [line for line in first.splitlines() if line.startswith(wanted)]
    except OSError:
        said = [platform.processor()]
    return f"{platform.machine()} {hashlib.sha256(repr(said).encode()).hexdigest()[:16]}"


def compile_decoder(bundle: Bundle, compiler: Compiler, say: Say | None = None) -> Built:
    """A shared library of the bundle's decoder.

    Raises EngineBuildError for a bundle that the generator does not know, and where the compiler fails.
    """
    # The engine's source includes the decoder's, which lies beside it.
    engine_source = (RUNTIME / ENGINE_SOURCE).read_text(encoding="utf-8")
    files = {**decoder_files(bundle), ENGINE_SOURCE: engine_source}
    if say is not None:
        say(f"compiling the c engine with {compiler.command[0]}, once: seconds")
    start = monotonic()
    with tempfile.TemporaryDirectory(prefix="leadlift-") as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        library = folder / "decoder.so"
        source = str(folder / ENGINE_SOURCE)
        command = [*compiler.command, *compiler.flags, f"-I{folder}", source, "-o", str(library)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=BUILD_S,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
                cwd=folder,
            )
            said, failed = done.stderr, done.returncode != 0
        except (OSError, subprocess.TimeoutExpired) as error:
            said, failed = str(error), True
        if failed or not library.is_file():
            raise EngineBuildError(
                f"{compiler.command[0]} does not compile the decoder ({_complaint(said)}): give another"
                f" compiler in $CC, {ELSE}"
            )
        report = {
            "seconds": round(monotonic() - start, 2),
            "compiler": compiler.identity.split()[0],
            "flags": " ".join(compiler.flags),
        }
        return Built(library.read_bytes(), report)


def _complaint(said: str) -> str:
    """The line that says most of a compiler's."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it says nothing"])[0][:200]


def _code() -> str:
    """A hash of the generator and the runtime: another one is other code."""
    digest = hashlib.sha256()
    for file in (*sorted(_GENERATOR.glob("*.py")), *sorted(RUNTIME.glob("*.[ch]"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
