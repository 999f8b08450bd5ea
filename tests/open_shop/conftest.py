"""The whole shop as ``make run`` opens it, on free ports and an empty folder, and a real Chromium before it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class OpenShop:
    """An open shop: where it is, and its doors for a test that steers what surrounds it."""

    url: str
    rehearsal: str
    database: str
    home: Path

    def control(self, path: str, given: dict[str, Any] | None = None) -> Any:
        """Ask the rehearsal's control door, or tell it something."""
        request = urllib.request.Request(
            f"{self.rehearsal}/_rehearsal/{path}",
            data=None if given is None else json.dumps(given).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def mails(self, to: str) -> list[dict[str, Any]]:
        """The mails that somebody got."""
        return [mail for mail in self.control("mails")["mails"] if to in mail["to"]]

    def charges(self, order_total: int | None = None) -> list[dict[str, Any]]:
        """Every charge that went through at Stripe."""
        found = self.control("state?table=charges")["charges"]
        return [charge for charge in found if charge["status"] == "succeeded"]

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the shop's database."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def stock(self, sku: str) -> tuple[int, int, int]:
        """A product's stock: on hand, reserved, sold."""
        [row] = self.ask(
            "SELECT on_hand, reserved, sold FROM stock_level JOIN catalog_product p ON p.id = product_id"
            " WHERE sku = %s",
            sku,
        )
        return row[0], row[1], row[2]

    def hurry(self) -> None:
        """What the flow has scheduled for later is due now."""
        self.ask("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at > now()")

    def wait_for(self, sql: str, *values: Any, seconds: float = 30, hurry: bool = False) -> tuple[Any, ...]:
        """Wait until a question has an answer."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if hurry:
                self.hurry()
            rows = self.ask(sql, *values)
            if rows:
                return rows[0]
            time.sleep(0.1)
        raise AssertionError(f"no answer within {seconds} s to: {sql}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """With a test that failed comes what the shop said, and the end of each of its parts' logs."""
    outcome = yield
    report = outcome.get_result()
    shop = getattr(item, "funcargs", {}).get("open_shop")
    if report.failed and isinstance(shop, OpenShop):
        for file in (shop.home / "said.txt", *sorted((shop.home / "log").glob("*.log"))):
            with contextlib.suppress(OSError):
                report.sections.append((f"Open shop: {file.name}", file.read_text(errors="replace")[-4000:]))


@pytest.fixture(scope="session")
def open_shop() -> Iterator[OpenShop]:
    """One open shop for all browser tests."""
    home = Path(tempfile.mkdtemp(prefix="todoku-"))
    port = free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TODOKU_", "STRIPE_", "DATABASE_URL", "DJANGO_", "PYTEST"))
    }
    environment |= {"TODOKU_VAR": str(home), "PORT": str(port), "TODOKU_WEB_PROCESSES": "1", "TODOKU_LOOK_EVERY": "0.5"}
    said = (home / "said.txt").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "todoku", "run"], cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_open(process, url, home)
        text = (home / "said.txt").read_text()
        found = re.search(r"Rehearsal Stripe\s+(http://127\.0\.0\.1:\d+)", text)
        assert found, text
        from todoku import database

        yield OpenShop(url, found[1], database.start_embedded(home), home)
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        said.close()
        shutil.rmtree(home, ignore_errors=True)


def _wait_open(process: subprocess.Popen[bytes], url: str, home: Path) -> None:
    until = time.monotonic() + 110
    while time.monotonic() < until:
        assert process.poll() is None, (home / "said.txt").read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
            # The lines with the addresses come when everything stands.
            if answer.status == 200 and "Rehearsal Stripe" in (home / "said.txt").read_text():
                return
        time.sleep(0.3)
    raise AssertionError(f"the shop did not open: {(home / 'said.txt').read_text()}")


@pytest.fixture
def phone(chromium: Browser, open_shop: OpenShop) -> Iterator[Page]:
    """A shopper's phone: 390 pixels wide, Japanese, no cookies yet. A script error or a CSP report fails the test."""
    yield from _page(chromium.new_context(viewport={"width": 390, "height": 844}, base_url=open_shop.url))


@pytest.fixture
def desk(chromium: Browser, open_shop: OpenShop) -> Iterator[Page]:
    """An operator's screen: 1280 pixels wide."""
    yield from _page(chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=open_shop.url))


def _page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    page.set_default_timeout(15_000)
    expect.set_options(timeout=15_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    yield page
    context.close()
    assert wrong == []
