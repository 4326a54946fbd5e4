"""The report in headless Chromium: no error, a slider that works, a phone's width, the dark."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def opened(browser: Any, reported: Path) -> Iterator[Any]:
    """The page, opened from its file, without any complaint."""
    page = browser.new_page(viewport={"width": 1200, "height": 800}, color_scheme="light")
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(reported.as_uri())
    page.wait_for_selector(".viewer:not([hidden])")
    yield page
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    page.close()


def seen(page: Any) -> str:
    drawn: str = page.evaluate("document.querySelector('.strip canvas').toDataURL()")
    return drawn


def test_a_slider_moves_the_picture(opened: Any) -> None:
    slider, output = opened.locator(".strip input").first, opened.locator(".strip output").first
    assert output.text_content() == "α = 0"
    middle = seen(opened)
    slider.focus()
    opened.keyboard.press("ArrowRight")
    assert output.text_content() == slider.get_attribute("aria-valuetext") == "α = 3"
    last = seen(opened)
    opened.keyboard.press("Home")
    assert output.text_content() == "α = −3"
    assert len({middle, last, seen(opened)}) == 3
    slider.click()  # in its middle
    assert seen(opened) == middle


def test_every_slider_has_a_name_and_every_scrolling_part_takes_the_keyboard(opened: Any) -> None:
    assert opened.get_by_role("slider", name="α along").count() == 2
    scrolling = "[...document.querySelectorAll('.scroll, pre')].every(e => e.tabIndex === 0)"
    assert opened.evaluate(scrolling)
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className") == "skip"
    opened.keyboard.press("Tab")
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert opened.evaluate(style) == "solid"


@pytest.mark.parametrize("width", [400, 320])
def test_a_phone_scrolls_no_page(opened: Any, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    for details in opened.locator("details").all():
        details.evaluate("e => e.open = true")
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert opened.evaluate(f"{wide}.length") > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_that_scrolls_shows_it_at_its_edge(opened: Any, scheme: Any) -> None:
    opened.set_viewport_size({"width": 400, "height": 800})
    opened.emulate_media(color_scheme=scheme)
    tables = opened.locator(".scroll:has(> table)")
    wide = "es => es.findIndex(e => e.scrollWidth > e.clientWidth)"
    table = tables.nth(tables.evaluate_all(wide))

    def edge() -> float:
        """Between two lines of text: the pixels at the right edge, beside those of the page."""
        with Image.open(io.BytesIO(table.screenshot())) as picture:
            grey = np.asarray(picture.convert("L"), float)
        page = np.median(grey)
        return float(abs(np.median(grey[:, -4:]) - page))

    begun = edge()
    table.evaluate("e => e.scrollLeft = e.scrollWidth")
    assert begun > 10
    assert edge() < 2


def test_dark_mode_changes_the_colours(opened: Any) -> None:
    colours = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
        " getComputedStyle(document.querySelector('.chart svg text')).fill]"
    )
    light = opened.evaluate(colours)
    opened.emulate_media(color_scheme="dark")
    dark = opened.evaluate(colours)
    assert all(one != other for one, other in zip(light, dark, strict=True))
    assert light[2] == light[1]
    assert dark[2] == dark[1]


def test_without_scripts_the_strips_are_seen(browser: Any, reported: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(reported.as_uri())
    assert page.locator(".strip img").first.is_visible()
    assert not page.locator(".strip input").first.is_visible()
    context.close()
