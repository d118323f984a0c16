"""`import leadlift` gives the names of `edge`; `python -m leadlift` is the command line."""

from __future__ import annotations

from edge import *  # noqa: F403 - the same public names, which edge.__all__ lists
from edge import __all__, __version__

__all__ = [*__all__, "__version__"]

if __name__ == "__main__":
    import sys

    from edge.cli import main

    sys.exit(main())
