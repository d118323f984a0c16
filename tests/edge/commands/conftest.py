"""Programs that a test starts and that none leaves behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

Spawn = Callable[..., "subprocess.Popen[str]"]


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
