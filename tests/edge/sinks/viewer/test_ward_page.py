"""The page of many patients in a real browser: names, order, keys, the way to twelve leads and back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from edge.errors import SinkError
from edge.files.recording import Metadata
from edge.leads import LEADS
from edge.quality import Quality
from tests.edge.sinks.viewer.in_browser import IN_BROWSER, WAIT_MS, level, until

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
pytest.importorskip("playwright.sync_api", reason="the page's tests need '.[test]'")
from edge.sinks.viewer.ward import PatientSink, Ward

pytestmark = IN_BROWSER
HOSTILE = "Bed 10 <img src=x onerror=alert(1)>"
THEME = "document.documentElement.dataset.theme"
ORDER = "leadlift.stats().order.join('|')"


@pytest.fixture
def ward() -> Iterator[Ward]:
    with Ward(port=0) as opened:
        yield opened


@pytest.fixture
def sinks(ward: Ward) -> Iterator[list[PatientSink]]:
    """Three patients, of whom samples keep coming; a lead of the second is off."""
    made = [ward.sink(name, Metadata(simulated=True)) for name in ("Bed 2", HOSTILE, "Åsa")]
    done = threading.Event()

    def write() -> None:
        first, n = 0, 2500
        while True:
            for place in made:
                off = level(0.2, n, first, **{"V1": Quality.LEAD_OFF} if place is made[1] else {})
                if place is made[1]:
                    off.ecg_mv[LEADS.index("V1")] = np.nan
                with suppress(SinkError):  # who has left
                    place.write(off)
            first, n = first + n, 25
            if done.wait(0.1):
                return

    writer = threading.Thread(target=write)
    writer.start()
    yield made
    done.set()
    writer.join()


@pytest.fixture
def page(chromium: Any, ward: Ward, sinks: list[PatientSink]) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    opened, wrong = context.new_page(), []
    opened.set_default_timeout(WAIT_MS)
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.goto(ward.address)
    until(opened, "leadlift.stats().order.length === 3")
    yield opened
    context.close()
    assert not wrong


def test_who_needs_attention_comes_first_and_is_named(page: Any) -> None:
    until(page, f"{ORDER} === '{HOSTILE}|Åsa|Bed 2'")
    card = page.locator(".patient").first
    assert "LEAD OFF V1" in card.inner_text() and "simulated" in card.inner_text()
    assert card.get_attribute("aria-label").startswith(f"{HOSTILE}, ")
    assert page.locator("main img").count() == 0
    page.select_option("#order", "name")
    assert page.evaluate(ORDER) == f"Åsa|Bed 2|{HOSTILE}"  # 2 before 10
    page.keyboard.press("Escape")
    page.focus("body")
    page.fill("#find", "bed")
    assert page.evaluate(ORDER) == f"Bed 2|{HOSTILE}"
    assert "3 patients, 2 shown" in page.inner_text("header")


def test_keys_open_twelve_leads_and_lead_back(page: Any) -> None:
    until(page, f"{ORDER} === '{HOSTILE}|Åsa|Bed 2'")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=LEAD OFF V1")
    page.wait_for_selector("#ink")
    assert page.inner_text("#patient") == HOSTILE
    assert "SIMULATED SIGNAL" in page.inner_text("body")
    until(page, "leadlift.stats().end > 2500")
    page.keyboard.press("w")
    page.wait_for_selector(".patient")


def test_a_trace_is_drawn_and_one_who_leaves_is_told(page: Any, sinks: list[PatientSink]) -> None:
    until(page, "leadlift.stats().ends.every((end) => end >= 256)")
    until(page, "leadlift.stats().frames > 0")
    inked = """[...document.querySelectorAll("canvas")].map((c) =>
      c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v > 0))"""
    until(page, f"({inked}).every(Boolean)")
    sinks[2].close()
    page.wait_for_selector(".marks >> text=LEFT")
    assert page.locator(".patient", has_text="LEFT").get_attribute("href") is None


def test_light_or_dark_goes_along_to_one_patient_and_back(page: Any) -> None:
    assert page.evaluate(THEME) == "light"
    page.keyboard.press("t")
    page.locator(".patient").first.click()
    page.wait_for_selector("#ink")
    assert page.evaluate(THEME) == "dark"
    page.reload()
    assert page.evaluate(THEME) == "dark"
    page.keyboard.press("t")
    page.go_back()  # the browser's own way
    page.wait_for_selector(".patient")
    assert page.evaluate(THEME) == "light"
    page.emulate_media(color_scheme="dark")  # nothing else is chosen: the system's counts
    until(page, f"{THEME} === 'dark'")


def test_leads_are_chosen_by_control_key_or_address_which_keeps_them(page: Any) -> None:
    shown, words = "leadlift.stats().leads.join()", ".patient .sources"
    assert page.evaluate(shown) == "II,V1" and "?" not in page.url
    assert page.locator(words).first.inner_text() == ""
    page.select_option("#lower", "V4")
    until(page, f"{shown} === 'II,V4'")
    page.locator(words, has_text="V4 reconstructed").first.wait_for()
    page.focus("body")
    page.keyboard.press("l")
    until(page, f"{shown} === 'III,V4'")
    page.keyboard.press("Shift+L")
    until(page, f"{shown} === 'III,V5'")
    assert page.url.endswith("?leads=III,V5")
    until(page, "leadlift.stats().ends.every((end) => end >= 256)")
    page.locator(".patient").first.click()
    page.wait_for_selector("#ink")
    page.keyboard.press("w")
    page.wait_for_selector(".patient")
    until(page, f"{shown} === 'III,V5'")
    assert page.locator("#upper").input_value() == "III"
    page.select_option("#lower", "none")
    until(page, f"{shown} === 'III'")
    page.select_option("#upper", "II")
    page.select_option("#lower", "V1")
    until(page, f"{shown} === 'II,V1'")
    assert "?" not in page.url


def test_who_is_shown_by_state(page: Any, sinks: list[PatientSink]) -> None:
    page.select_option("#show", "off")
    assert page.evaluate(ORDER) == HOSTILE and page.url.endswith("?show=off")
    page.reload()
    page.wait_for_selector(".patient")
    until(page, f"{ORDER} === '{HOSTILE}'")
    page.select_option("#show", "misplaced")
    assert page.evaluate(ORDER) == "" and "3 patients, 0 shown" in page.inner_text("header")
    page.select_option("#show", "left")
    sinks[0].close()
    until(page, f"{ORDER} === 'Bed 2'")
    page.focus("body")
    page.keyboard.press("s")  # the first again
    until(page, f"{ORDER}.split('|').length === 3")
