"""The page in a browser: it turns, slides, sorts, prints and fetches nothing; by mouse, keyboard and on a phone."""

import io
import time

import numpy as np
import pytest
from PIL import Image

RELIEFS = "document.querySelector('.viewer').querySelectorAll('.js-plotly-plot')"
EYES = f"[...{RELIEFS}].map(plot => plot._fullLayout.scene.camera.eye)"
DRAWN = f"{RELIEFS}.length === 2 && [...{RELIEFS}].every(plot => plot.linked)"


@pytest.fixture
def page(opened):
    """The page at its top, as it was opened; no test may make it complain, or fetch anything."""
    opened.evaluate("document.querySelector('.viewer').scrollIntoView()")
    until(opened, DRAWN)
    opened.evaluate("scrollTo(0, 0)")
    yield opened
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("data:", "blob:"))] == [opened.url.partition("#")[0]]


def until(page, true):
    """Wait until an expression is true; asked from outside, since the policy of the page lets nothing be evaluated."""
    end = time.monotonic() + 50
    while not page.evaluate(true):
        assert time.monotonic() < end, true
        page.wait_for_timeout(50)


def pixels(page, place):
    """What stands at a place, as numbers (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(page.locator(place).first.screenshot())).convert("RGB")).astype(int)


def colorful(image):
    """Share of the pixels that have a colour."""
    return (image.max(-1) - image.min(-1) > 60).mean()


def heights(page):
    """The first row of heights of each panel."""
    return page.evaluate(f"[...{RELIEFS}].map(plot => Array.from(plot.data[0].z[0]).slice(0, 3))")


def test_landmarks_labels_and_the_way_by_keyboard(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the numbers"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for landmark in ("header", "nav[aria-label]", "main", "footer"):
        assert page.locator(landmark).count() == 1
    assert page.evaluate("[...document.querySelectorAll('table')].every(table => table.caption)")
    assert page.evaluate("[...document.querySelectorAll('[role=img]')].every(one => /\\d.*\\.$/.test(one.ariaLabel))")
    assert page.evaluate("[...document.querySelectorAll('select, input')].every(one => one.labels.length === 1)")
    assert page.evaluate("[...document.querySelectorAll('.scroll')].every(one => one.tabIndex === 0 && one.ariaLabel)")


def test_surfaces_are_drawn_turn_together_and_follow_one_slider(page, results):
    assert colorful(pixels(page, ".panels .plot")) > 0.03
    before = heights(page)
    np.testing.assert_allclose(before[0], results["flat.surface"].loss[0].T[0, :3], rtol=1e-6)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    until(page, f"{RELIEFS}[0].data[0].z[0][0] > {1.5 * before[0][0]}")
    after = heights(page)
    np.testing.assert_allclose(after, 2 * np.array(before), rtol=1e-5)
    np.testing.assert_allclose(after[1], results["sharp.w4.surface"].loss[0].T[0, :3], rtol=1e-6)
    assert slider.get_attribute("aria-valuetext") == "4 bits"
    assert "flat, 4 bits: train loss " in page.locator(".panels .plot").first.get_attribute("aria-label")

    start = page.evaluate(EYES)
    box = page.locator(".panels .plot canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 80, box["y"] + box["height"] / 2 + 10, steps=4)
    page.mouse.up()
    turned = f"Math.abs(one.x - {start[0]['x']}) > 0.05 && Math.abs(one.x - two.x) < 1e-3"
    until(page, f"(([one, two]) => {turned})({EYES})")

    page.locator(".panels .plot").nth(1).focus()
    page.keyboard.press("Home")
    until(page, f"{EYES}.every(eye => Math.abs(eye.x - 1.6) < 1e-6)")
    page.keyboard.press("ArrowLeft")
    until(page, f"(([one, two]) => Math.abs(one.x - 1.6) > 0.05 && Math.abs(one.x - two.x) < 1e-6)({EYES})")


def test_what_surfaces_show_is_chosen(page, results):
    page.get_by_role("combobox", name="Show").first.select_option(label="test accuracy")
    page.get_by_role("slider").fill("0")
    until(page, f"{RELIEFS}[1].data[0].colorscale[0][1] === '#00224e' && {RELIEFS}[1].ariaLabel.includes('full')")
    np.testing.assert_allclose(heights(page)[1], 100 * results["sharp.surface"].accuracy[1].T[0, :3], rtol=1e-5)
    assert not page.get_by_role("checkbox", name="logarithmic").first.is_checked()
    page.get_by_role("combobox", name="As").first.select_option(label="map")
    until(page, f"[...{RELIEFS}].every(plot => plot.data[0].type === 'heatmap')")
    assert colorful(pixels(page, ".panels .plot")) > 0.2
    page.get_by_role("combobox", name="Slider over").select_option(label="networks")
    until(page, "document.querySelector('.panels figcaption').textContent.startsWith('flat, full')")
    assert page.locator(".panels figcaption").nth(1).text_content().startswith("flat, 4 bits")
    page.get_by_role("combobox", name="As").first.select_option(label="relief")
    until(page, DRAWN)


def test_every_table_sorts_by_keyboard_and_mouse(page):
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    count = page.locator("table.sorts").count()
    assert count > 8
    sorted_ = page.evaluate("""[...document.querySelectorAll('table.sorts')].map(table =>
      [...table.tHead.rows[0].cells].map((head, column) => {
        const orders = [];
        for (const way of ['ascending', 'descending']) {
            head.querySelector('button').click();
            if (head.getAttribute('aria-sort') !== way) return false;
            if (table.querySelectorAll('[aria-sort]').length !== 1) return false;
            const keys = [...table.tBodies[0].rows].map(row => key(row.cells[column]));
            const all = keys.filter(one => typeof one === 'number');
            const sign = way === 'ascending' ? 1 : -1;
            orders.push(all.every((one, k) => k === 0 || sign * all[k - 1] <= sign * one));
        }
        return orders.every(Boolean);
    }))""")  # fmt: skip
    assert all(all(columns) for columns in sorted_)
    summary = page.locator("#summary table").first
    head = summary.locator("thead button").filter(has_text="train loss")
    head.focus()
    page.keyboard.press("Enter")
    first = summary.locator("tbody tr").first
    assert first.locator("th").first.text_content() == "flat"
    page.keyboard.press("Enter")
    assert first.locator("th").first.text_content() == "sharp"
    assert page.locator("#status").text_content().startswith("Sorted by train loss")


def test_colours_follow_the_switch_and_paper_is_light(page):
    background = "getComputedStyle(document.body).backgroundColor"
    axis = f"{RELIEFS}[0]._fullLayout.scene.xaxis.color"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    light = page.evaluate(axis)
    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate(background) == "rgb(20, 24, 29)"
    until(page, f"{axis} !== {light!r}")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    until(page, "document.querySelectorAll('img.still').length >= 1")
    until(page, "[...document.querySelectorAll('img.still')].every(one => one.complete && one.naturalWidth)")
    assert colorful(pixels(page, "img.still")) > 0.03
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator("img.still").count() == 0
    assert page.evaluate(background) == "rgb(20, 24, 29)"


def test_spectra_are_drawn_with_their_choices(page):
    page.locator("#spectrum").scroll_into_view_if_needed()
    plot = page.locator("[data-figure=spectrum-0]")
    until(page, "document.querySelector('[data-figure=spectrum-0]').data?.length === 8")
    assert "flat: " in plot.get_attribute("aria-label")
    page.locator("#spectrum").get_by_role("combobox", name="Scale", exact=True).select_option(label="linear density")
    until(page, "document.querySelector('[data-figure=spectrum-0]')._fullLayout.yaxis.type === 'linear'")


def test_names_that_would_be_scripts_are_words(page):
    assert page.title().startswith("Loss landscapes of ")
    page.locator(".viewer").nth(1).scroll_into_view_if_needed()
    until(page, "document.querySelectorAll('.viewer')[1].querySelector('.js-plotly-plot')?.linked")
    words = page.locator(".viewer").nth(1).locator("figcaption").text_content()
    assert words.startswith("<img src=x onerror=")
    assert page.locator("main img:not(.still)").count() == 0


def test_a_phone_in_the_dark(page):
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    page.evaluate("delete document.documentElement.dataset.theme")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    until(page, "document.documentElement.scrollWidth === 360")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    assert page.evaluate("document.querySelector('#summary .scroll').scrollWidth") > 360
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1200, "height": 900})
