"""Durations on a command line."""

from __future__ import annotations

import argparse


def seconds(text: str) -> float:
    """A duration for argparse: a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no duration: give a number of seconds above 0")
    return value
