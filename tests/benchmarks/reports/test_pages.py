"""Every figure of the README and of the fidelity pages is of a kept report, or of a page that says how."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("scipy", reason="benchmarks need '.[test]'")
pytest.importorskip("torch", reason="benchmarks of other networks need '.[test]'")

from benchmarks.reports.blocks import BLOCKS, PAGES
from benchmarks.reports.card_blocks import PICTURES
from benchmarks.reports.kept import COMMANDS, DRAWN_OF, FIDELITY, FOLDER, PLOTS, ROOT, read
from edge.bundle import load_bundle

KEPT = read()
FIGURE = re.compile(
    r"\d[\d.,]*(?: (?:uV|ms|KB|MB|dB|Hz|hours)\b| %)|(?<![\d/.])0\.\d{2,}(?!\d*/)|(?<![\d/])1/\d[\d.]*"
)
BLOCK = re.compile(r"<!-- report: ([\w-]+) -->.*?<!-- /report -->", re.DOTALL)
SAID_ELSEWHERE = {
    "1.7 KB": ("firmware_bridge/firmware/README.md", "flash 17"),
    "437 KB": ("firmware_bridge/firmware/path/README.md", "| Cortex-M4F | 437."),
    "126 KB": ("firmware_bridge/firmware/path/README.md", "| Cortex-M4F | 126."),
    "24 hours": ("docs/soak.md", "24 hours"),
    "250 Hz": ("firmware_bridge/devices/README.md", "250 Hz"),  # of a device
    "200 Hz": ("firmware_bridge/devices/README.md", "200 Hz"),
}
"""Figures of the README that no benchmark makes: the page that says how they are made, and its words."""
PROTOCOL = {
    "docs/fidelity.md": {"0.5 Hz", "40 to 100 Hz", "100 Hz", "90 %", "95 %"},
    "docs/MODEL_CARD.md": {"0.5 Hz", "0.05 Hz", "100 Hz", "250 Hz", "16 ms", "90 %", "95 %"},
}
"""What is no result."""


def figures_by_hand(page: str) -> set[str]:
    """Those that no report makes: outside of blocks, code and links."""
    text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|\b(arXiv|doi) \S+", "", text, flags=re.DOTALL)
    return {one.rstrip(".,") for one in FIGURE.findall(text)}


def test_every_figure_of_the_readme_is_made_by_something() -> None:
    by_hand = figures_by_hand("README.md")
    manifest = load_bundle().manifest
    hop = f"{1e3 * manifest.hop / manifest.sampling_hz:g} ms"
    assert by_hand == {hop, *SAID_ELSEWHERE}
    for figure, (page, words) in SAID_ELSEWHERE.items():
        assert words in (ROOT / page).read_text(encoding="utf-8"), figure


@pytest.mark.parametrize("page", PROTOCOL)
def test_no_result_is_written_by_hand(page: str) -> None:
    assert figures_by_hand(page) <= PROTOCOL[page]


def test_every_page_has_blocks_and_every_block_a_page() -> None:
    found = {page: BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) for page in PAGES}
    assert all(found.values())
    assert {name for names in found.values() for name in names} == set(BLOCKS)


def test_the_pictures_of_the_card_are_kept_and_small() -> None:
    if not set(FIDELITY) <= set(KEPT):
        pytest.skip("no report of recordings is kept yet: `python -m benchmarks report --fidelity`")
    card = (ROOT / "docs/MODEL_CARD.md").read_text(encoding="utf-8")
    shown = re.findall(rf"!\[[^\]]+\]\(reports/{PLOTS}/([^)]+)\)", card)
    assert shown == [f"{kind}-{DRAWN_OF}.png" for kind in PICTURES]
    kept = list((FOLDER / PLOTS).iterdir())
    assert {one.name for one in kept} == set(shown)
    assert sum(one.stat().st_size for one in kept) < 600_000


def test_kept_reports_are_of_all_records_and_of_one_decoder() -> None:
    of_records = {name: KEPT[name] for name in FIDELITY if name in KEPT}
    if set(of_records) != set(FIDELITY):
        pytest.skip("no report of recordings is kept yet: `python -m benchmarks report --fidelity`")
    for name, report in of_records.items():
        assert (report["arguments"]["limit"] is None) is ("--limit" not in COMMANDS[name].options)
        assert not report["arguments"]["quick"]
    bundles = {n: one["environment"]["bundle_sha256"] for n, one in of_records.items()}
    small = bundles.pop("small")
    assert len(set(bundles.values())) == 1
    assert small not in bundles.values()
