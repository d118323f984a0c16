"""A Python that starts under a limit, or deaf to a signal: `preexec_fn` may hang where there are threads."""

from __future__ import annotations

import sys


def python_after(setup: str) -> list[str]:
    """As `sys.executable`, after `setup`, which may use `resource` and `signal`."""
    goes_on = "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    return [sys.executable, "-c", f"import os, resource, signal, sys; {setup}; {goes_on}"]


def python_of_files_up_to(n_bytes: int) -> list[str]:
    """A Python that can write no file larger than `n_bytes`."""
    return python_after(f"resource.setrlimit(resource.RLIMIT_FSIZE, ({n_bytes}, {n_bytes}))")
