"""A real browser before a real server; skipped where there is no browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")

TESTS = Path(__file__).parents[2]
OWN = "string_models:make"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def launch(chromium):
    """Start the browser of the system, or that of Playwright; the test is skipped where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and not Path(chromium.executable_path).exists():
        pytest.skip("needs Chromium: apt-get install chromium, or: playwright install chromium")
    # the sandbox of Chromium refuses to run for root
    root = getattr(os, "geteuid", lambda: 1)() == 0
    return chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])


@pytest.fixture(scope="package")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


class Server:
    """``wrlso serve`` in a process group of its own, which can be killed and started again."""

    def __init__(self, campaign, *options):
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            self.port = place.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        places = [str(TESTS), str(TESTS.parent)]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
        self.command = [sys.executable, "-m", "wrlso", "serve", str(campaign), "--no-browser", "--port"]
        self.command += [str(self.port), *options]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.environment, start_new_session=True)
        for _ in range(600):
            with suppress(OSError), urlopen(f"{self.address}/settings", timeout=10):
                return self
            assert self.process.poll() is None
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def kill(self, *, workers):
        """Kill the server at once, and with it the processes that work for it, or not."""
        (os.killpg if workers else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)


@pytest.fixture
def serve():
    """Start servers that end with the test."""
    started = []

    def start(campaign, *options):
        started.append(Server(campaign, "--model", OWN, *options))
        return started[-1].start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def page(browser):
    context = browser.new_context()
    context.set_default_timeout(60_000)
    errors = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Security Policy" in said.text else None)
    yield page
    context.close()
    assert not errors
