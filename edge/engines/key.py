"""What the keys of built engines share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def canonical(value: Mapping[str, Any]) -> bytes:
    """JSON in the one form that a hash needs."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
