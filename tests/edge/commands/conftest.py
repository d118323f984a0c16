"""Programs that a test starts and that none leaves behind, on a machine that knows its engines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from edge.bundle import Bundle
from edge.engines.registry import open_engine

Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session", autouse=True)
def known_engines(shipped_bundle: Bundle) -> None:
    """Compiled and timed before, which a run would say: as after the first run on a machine."""
    open_engine(shipped_bundle).engine.close()


@pytest.fixture
def leadlift() -> Iterator[Spawn]:
    """Starts `leadlift ARGUMENTS` with pipes; what the test did not end, for it failed, is killed."""
    children: list[subprocess.Popen[str]] = []

    def spawn(*arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "edge.cli", *arguments]
        children.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return children[-1]

    yield spawn
    for child in children:
        child.kill()
        child.communicate()
