"""The browser of this machine, for the live view."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser


def has_browser() -> bool:
    """Whether somebody sits here before a screen that can show a page; a browser of text is none."""
    if not sys.stdout.isatty() or os.environ.get("SSH_CONNECTION"):
        return False
    if sys.platform not in ("win32", "darwin") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def open_page(address: str) -> None:
    """Show a page. Returns at once: some browsers come back only when they are closed."""
    threading.Thread(target=webbrowser.open, args=(address,), name="browser", daemon=True).start()
