"""What `leadlift` says where a module that it needs does not import: which one, why, and what mends it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

PACKAGES = {"serial": "pyserial"}
"""Distributions that are not called as their module is."""
OURS = ("edge", "firmware_bridge", "leadlift")


def explain(error: BaseException, argv: Sequence[str]) -> int:
    """Print what is known of a failed import, and return the exit code; `--version` needs no more."""
    if "--version" in argv:
        from edge import installed

        print(f"leadlift {installed.installed_version('leadlift')}")
        return 0
    print(f"leadlift: error: {in_words(error)}", file=sys.stderr)
    if "doctor" in argv:
        from edge.installed import file_misfits, installed_version, version_misfits

        print(f"python     {sys.version.split()[0]}, {sys.executable}")
        for name in ("leadlift", "numpy", "onnxruntime", "rich", "pyserial", "bleak"):
            print(f"package    {name} {installed_version(name) or 'not installed'}")
        for misfit in (*version_misfits(), *file_misfits()[0]):
            print(f"wrong      {misfit}")
    return 1


def in_words(error: BaseException) -> str:
    """One line: the module that does not import, the reason, the remedy."""
    module = _module(error)
    why = " ".join(str(error).split())[:200]
    if module in OURS:
        remedy = (
            "another distribution may have overwritten it: "
            "pip install --force-reinstall --no-deps leadlift"
        )
    else:
        remedy = f"pip install --force-reinstall {PACKAGES.get(module, module)}"
    return f"{module} does not import ({why}): {remedy}"


def _module(error: BaseException) -> str:
    """The top-level package in which the import failed: what it names, else the last file that ran."""
    named = getattr(error, "name", None)
    if named:
        return str(named).partition(".")[0]
    module, trace = "leadlift", error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        if name and not name.startswith("importlib"):
            module = name.partition(".")[0]
        trace = trace.tb_next
    return module
