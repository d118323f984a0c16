"""A Chromium of the system, without a screen, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.errors import BenchmarkError
from firmware_bridge.extras import install_extra

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",  # of root in a container, which has none to give
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_MS = 120_000  # the first start on a machine reads 400 MB from its disk


def executable() -> str | None:
    """Where it is; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A Playwright browser. Raises BenchmarkError where it, or Playwright, is missing."""
    path = executable()
    if path is None:
        raise BenchmarkError(f"no Chromium here ({', '.join(NAMES)}): apt install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BenchmarkError(f"{error}: {install_extra('test')}") from error
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=list(QUIET), timeout=START_MS
        )
        try:
            yield opened
        finally:
            opened.close()
