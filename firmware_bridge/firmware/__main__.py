"""`python -m firmware_bridge.firmware`: where the C sources are; `--write` brings them up to date."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from firmware_bridge.firmware.generate import SOURCES, generated


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the folder of the sources, or with --write what was generated anew; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m firmware_bridge.firmware",
        description="Print the folder that holds leadlift.h, leadlift.c and the porting guide.",
    )
    parser.add_argument(
        "--write", action="store_true", help="generate anew what the C sources take from Python"
    )
    if not parser.parse_args(arguments).write:
        print(SOURCES)
        return 0
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
