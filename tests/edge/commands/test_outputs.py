"""What a command would write is compared with what it reads, and with what exists, before anything opens."""

from __future__ import annotations

from tests.edge.device_streams import *  # noqa: F403
