"""A D-Bus daemon of the test's own, to which bleak and all of this process are sent."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

BUS_CONF = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:dir={folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  {more}
</busconfig>"""
VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"
STOP_S = 5.0


def missing() -> str | None:
    """Why there can be no private bus here, or None."""
    if not shutil.which("dbus-daemon"):
        return "no dbus-daemon here: install the package dbus"
    for name in ("bleak", "dbus_fast"):
        if importlib.util.find_spec(name) is None:
            return f"no {name} here: install leadlift anew (dbus_fast is for Linux alone)"
    return None


class PrivateBus:
    """The system bus of this process while entered. `more` is added to the bus's configuration."""

    def __init__(self, more: str = "") -> None:
        self._more = more
        self.address = ""

    def __enter__(self) -> PrivateBus:
        # A short path: a socket's name has room for 108 bytes.
        self._folder = tempfile.mkdtemp(prefix="bus")
        conf = Path(self._folder) / "bus.conf"
        conf.write_text(BUS_CONF.format(folder=self._folder, more=self._more))
        self._daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={conf}", "--nofork", "--print-address=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it cannot raise its limit of open files, and says so
            text=True,
        )
        assert self._daemon.stdout is not None
        self.address = self._daemon.stdout.readline().strip()
        self._before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = self.address
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _close_bleak()
        self._daemon.terminate()
        self._daemon.communicate(timeout=STOP_S)
        if self._before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = self._before
        shutil.rmtree(self._folder)


def _close_bleak() -> None:
    """Close the connections that bleak keeps, one per event loop, until it is used again."""
    from bleak.backends.bluezdbus import manager

    for loop in [loop for loop in manager._global_instances if loop.is_closed()]:
        bus = manager._global_instances.pop(loop)._bus
        if bus is not None:
            with contextlib.suppress(RuntimeError):  # what waits for it belongs to the closed loop
                bus._finalize(None)
