"""A browser that notices what a person would: errors in the console, failed requests, broken accessibility."""
import os
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from harness.fixtures import *  # noqa: F401,F403
from harness.fixtures import pytest_runtest_makereport  # noqa: F401
from harness.session import longest_first, pytest_runtest_teardown  # noqa: F401

SECONDS = {"pages": 37, "limits_clicks": 33, "charts_alerts": 32, "tutorial_clicks": 29, "hostile_texts": 26, "money": 20}      # of one test
LOCALES = {"en": "en-US", "zh": "zh-CN"}


def pytest_collection_modifyitems(items):
    longest_first(items, SECONDS)


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("TIDEGATE_BROWSER", "/usr/bin/chromium"),
                                             args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"])
        yield browser
        browser.close()


class Window:
    """One browser window on a gateway's console."""

    def __init__(self, context, gateway, name):
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.gateway, self.name, self.complaints = gateway, name, []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append("script error: %s" % error))
        self.page.on("response", self._response)
        self.expected = set()

    def _console(self, message):
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append("console: %s" % message.text)

    def _response(self, response):
        if response.status >= 400 and response.status not in self.expected:
            self.complaints.append("%d from %s %s" % (response.status, response.request.method, response.url))

    def open(self, path="/"):
        self.page.goto(self.gateway.console_url + path)
        return self

    def get(self, test_id):
        return self.page.get_by_test_id(test_id)

    def click(self, test_id):
        self.get(test_id).click()
        return self

    def save(self, test_id, path):
        """Clicks, and waits until the API has stored what is at that path: the word of success is gone after three seconds."""
        def stores(answer):
            return answer.request.method in ("PUT", "PATCH") and answer.url.endswith("/api/v1" + path)
        with self.page.expect_response(stores) as stored:
            self.click(test_id)
        assert stored.value.ok, stored.value.status
        return self

    def fill(self, test_id, text):
        """Fills the field of that name, also where the name stands on the box around it."""
        box = self.get(test_id)
        tag = box.evaluate("e => e.tagName")
        (box if tag in ("INPUT", "TEXTAREA") else box.locator("input").first).fill(text)
        return self

    def choose(self, test_id, option):
        """Picks an option of a drop-down list by its text."""
        self.get(test_id).click()
        self.page.locator(".ant-select-dropdown:visible .ant-select-item-option", has_text=option).first.click()
        return self

    def picture(self, what):
        folder = os.environ.get("TIDEGATE_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder, "%s-%s.png" % (self.name, what)), full_page=True)

    def axe(self):
        """Serious accessibility faults of the page, as sentences; nothing when axe-core is not installed."""
        script = Path(os.environ.get("TIDEGATE_NODE_MODULES", "/nowhere"), "axe-core/axe.min.js")
        if not script.exists():
            return []
        self.page.evaluate(script.read_text())          # not as a <script>: the console's policy would refuse it
        # What it says of things that are well, and paths to elements, nobody reads; making them is half of its work.
        result = self.page.evaluate("() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa'], resultTypes: ['violations'], selectors: false})")
        return ["%s: %s (%s)" % (v["impact"], v["help"], node["html"][:160])
                for v in result["violations"] if v["impact"] in ("serious", "critical")
                for node in v["nodes"][:3] if not antd_puts_it_there(v["id"], node["html"])]


def antd_puts_it_there(rule, html):
    """Two known faults of Ant Design: a Form puts aria-required on the box of a Select, which has no role (the field in
    it has one), and Tabs that overflow keep their "more" button inside the tab list."""
    return (rule == "aria-allowed-attr" and html.startswith('<div class="ant-select')) or (
        rule == "aria-required-children" and "ant-tabs-nav" in html)


@pytest.fixture
def open_window(request, chromium):
    """open_window(gateway, language="zh", width=400, scheme="dark"); its complaints fail the test at the end."""
    contexts, windows = [], []

    def opened(gateway, language="en", width=1280, scheme="light"):
        context = chromium.new_context(locale=LOCALES[language], viewport={"width": width, "height": 900}, color_scheme=scheme,
                                       permissions=["clipboard-read", "clipboard-write"])
        contexts.append(context)
        windows.append(Window(context, gateway, request.node.name.replace("/", "-")))
        return windows[-1]
    yield opened
    complaints = [line for window in windows for line in window.complaints]
    for number, window in enumerate(windows):
        window.picture("end-%d" % number)
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)
