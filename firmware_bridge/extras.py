"""How to get what an extra of setup.cfg brings, in the words of every hint."""

from __future__ import annotations


def install_extra(name: str) -> str:
    """What a user types. leadlift is on no package index: its extras are installed from a checkout."""
    return f"pip install '.[{name}]' in the checkout"
