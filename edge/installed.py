"""What is installed here: versions against the ranges that leadlift asks for, our files against RECORD.

Another distribution may bring files of the same name, and overwrites ours without a word; its removal deletes
them. The wheel's RECORD has the hash of every file as it was installed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OURS = ("edge", "firmware_bridge", "leadlift")
"""Top-level names of the wheel."""
UNKNOWN = "unknown"


def installed_version(distribution: str) -> str | None:
    """Its version, `unknown` where its metadata are damaged, None where it is not installed."""
    try:
        return metadata.version(distribution) or UNKNOWN
    except metadata.PackageNotFoundError:
        return None
    except Exception:
        return UNKNOWN


@dataclass(frozen=True)
class Misfit:
    """Something installed that leadlift cannot rely on."""

    what: str
    why: str
    command: str
    """What mends it."""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}: {self.command}"


def fits(version: str, ranges: str) -> bool:
    """Whether a version is in all of `>=1.26,<3`; a suffix such as rc1 or +cu12 does not count."""
    have = _numbers(version)
    for operator, bound in re.findall(r"(>=|<=|==|!=|<|>)\s*([\d.]+)", ranges):
        wanted = _numbers(bound)
        width = max(len(have), len(wanted))
        one, other = (v + (0,) * (width - len(v)) for v in (have, wanted))
        if not {
            ">=": one >= other,
            "<=": one <= other,
            "==": one == other,
            "!=": one != other,
            "<": one < other,
            ">": one > other,
        }[operator]:
            return False
    return True


def requirements(lines: list[str] | None = None) -> dict[str, str]:
    """Package -> range, of what leadlift itself asks for (extras left out); `lines` as metadata have them."""
    if lines is None:
        try:
            lines = metadata.requires("leadlift") or []
        except metadata.PackageNotFoundError:  # a checkout that was not installed
            lines = []
    found = {}
    for line in lines:
        asked, _, marker = line.partition(";")
        name = re.match(r"[\w.-]+", asked.strip())
        if name and "extra" not in marker:
            found[name.group()] = asked.strip()[name.end() :].strip(" ()")
    return found


def version_misfits(lines: list[str] | None = None) -> list[Misfit]:
    """Installed packages out of the range that leadlift asks for."""
    found = []
    for name, ranges in requirements(lines).items():
        version = installed_version(name)
        if version is not None and not fits(version, ranges):
            command = f"pip install '{name}{ranges.replace(' ', '')}'"
            found.append(Misfit(f"{name} {version}", f"leadlift asks for {ranges}", command))
    return found


def file_misfits(name: str = "leadlift", ours: tuple[str, ...] = OURS) -> tuple[list[Misfit], str]:
    """Files of ours that are not as they were installed, who else brings such names; and how that was found.

    Where nothing can be compared the list is empty and the text says why.
    """
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return [], "not installed: run from a checkout, no files to compare"
    if _editable(distribution):
        return [], "editable install: its files are the checkout's, and are not compared"
    changed, compared = [], 0
    for file in distribution.files or ():
        if file.hash is None or Path(file.parts[0]).stem not in ours:
            continue
        compared += 1
        if _hash(Path(str(file.locate())), file.hash.mode) != file.hash.value:
            changed.append(str(file))
    others = sorted(
        {other for top in ours for other in _who_brings(top)} - {name},
    )
    mend = f"pip install --force-reinstall --no-deps {name}"
    if others:
        mend = f"pip uninstall -y {' '.join(others)} && {mend}"
    found = []
    if changed:
        why = f"not as installed ({', '.join(changed[:3])}{', ...' if len(changed) > 3 else ''})"
        found.append(Misfit(f"{len(changed)} of our files", why, mend))
    if others:
        found.append(Misfit(", ".join(others), f"brings files into {' or '.join(ours)}", mend))
    return found, f"{compared} files compared with RECORD"


def _who_brings(top: str) -> set[str]:
    """Distributions with files in the top-level package or module `top`."""
    found = set()
    for distribution in metadata.distributions():
        try:
            files = distribution.files or ()
            if not _editable(distribution) and any(
                file.suffix == ".py" and file.parts[0] in (top, f"{top}.py") for file in files
            ):
                found.add(distribution.metadata["Name"] or UNKNOWN)
        except Exception:
            continue
    return found


def _editable(distribution: metadata.Distribution) -> bool:
    try:
        about = json.loads(distribution.read_text("direct_url.json") or "{}")
        return bool(about.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False


def _hash(path: Path, mode: str) -> str | None:
    try:
        digest = hashlib.new(mode, path.read_bytes()).digest()
    except (OSError, ValueError):  # gone
        return None
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _numbers(version: str) -> tuple[int, ...]:
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(n) for n in release.group().split(".")) if release else ()
