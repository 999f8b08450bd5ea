"""The whole shop, opened as ``todoku run`` opens it, on free ports and in a folder of its own."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psycopg

from bench import meter
from bench.shopper import type_card
from todoku import database, lights_out, postgres

HOUSE = Path(__file__).resolve().parent.parent
#: What a person may set to compare one size of the shop with another; nothing else reaches into the measurement.
SIZES = (
    "TODOKU_WEB_PROCESSES",
    "TODOKU_WEB_THREADS",
    "TODOKU_WORKER_CONCURRENCY",
    "TODOKU_DB_POOL_MIN",
    "TODOKU_DB_POOL_MAX",
)
#: So many of each product: nothing sells out.
PLENTY = 1_000_000
#: How often to try to open, should another shop be quicker to take a port.
TRIES = 3
_FOREIGN = ("TODOKU_", "STRIPE_", "DATABASE_URL", "DJANGO_", "PYTEST", "GUNICORN_", "PG", "WEB_CONCURRENCY", "HOST")
#: How each part is recognised by the words of its command line.
_PARTS = (("web", "gunicorn"), ("worker", "worker"), ("rehearsal", "rehearsal"))


class DidNotOpen(Exception):
    """The shop did not open; the message holds what it said."""


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class WholeShop:
    """An open shop: its addresses, its database, its processes. A context manager; leaving it closes the shop."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.rehearsal = ""
        self.database = ""
        self.sizes = {name: os.environ[name] for name in SIZES if os.environ.get(name)}
        self.var = Path()
        #: Seconds from the command to the welcome.
        self.opened_in = 0.0
        self._environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> WholeShop:
        for left in reversed(range(TRIES)):
            try:
                self._open()
                break
            except BaseException as error:
                self.close()
                # Another shop that opens at the same moment may have taken a port that was free a moment ago.
                if not isinstance(error, DidNotOpen) or not left:
                    raise
        return self

    def __exit__(self, *wrong: object) -> None:
        self.close()

    def _open(self) -> None:
        began = time.monotonic()
        self.port = free_port()
        self.var = Path(tempfile.mkdtemp(prefix="todoku-bench-"))
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)},
            **self.sizes,
            "TODOKU_VAR": str(self.var),
        }
        said = self.var / "said.txt"
        with said.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "todoku", "run", "--host", self.host, "--port", str(self.port)],
                cwd=HOUSE,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + 150
        # "Ctrl-C" is the last line of the welcome: everything stands.
        while "Ctrl-C" not in (text := said.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > until:
                raise DidNotOpen(f"the shop did not open. It said:\n{text}")
            time.sleep(0.1)
        self.opened_in = round(time.monotonic() - began, 1)
        self.rehearsal = f"http://127.0.0.1:{self._port_of_the_rehearsal()}"
        self._must_be_ours()
        self.database = database.start_embedded(self.var)
        self._fill_the_shelves()

    def _port_of_the_rehearsal(self) -> str:
        until = time.monotonic() + 10
        while not (pids := self.parts()["rehearsal"]):
            if time.monotonic() > until:
                raise DidNotOpen(f"the rehearsal Stripe is not there. {' '.join(self.complaints())}")
            time.sleep(0.1)
        words = meter.command(pids[0])
        return words[words.index("--port") + 1]

    def _must_be_ours(self) -> None:
        """See that what answers there writes into our folder: another shop's rehearsal may have the port."""
        card = type_card(self.rehearsal).encode()
        kept = [file for file in (self.var / "rehearsal").rglob("*") if file.is_file()]
        if not any(card in file.read_bytes() for file in kept):
            raise DidNotOpen(f"{self.rehearsal} is another shop's rehearsal.")

    def _fill_the_shelves(self) -> None:
        """Count plenty of every product of the demo catalogue in, by the shop's own import."""
        with (HOUSE / "demo" / "catalog.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        plenty = self.var / "plenty.csv"
        with plenty.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "stock": str(PLENTY)} for row in rows)
        pictures = HOUSE / "demo" / "pictures"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "todoku", "import-catalog", str(plenty)),
                *("--pictures", str(pictures), "--set-stock"),
            ],
            cwd=HOUSE,
            env={**self._environment, "DATABASE_URL": self.database},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise DidNotOpen(f"the shelves could not be filled: {done.stderr or done.stdout}")

    def close(self) -> None:
        """Close the shop as Ctrl-C does, and remove its folder."""
        postgres.leave(self.var / "postgres")
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            self._process.kill()
            self._process.wait()
            self._process = None
        until = time.monotonic() + 10
        while lights_out.running(str(self.var / "postgres")) is not None and time.monotonic() < until:
            time.sleep(0.05)
        shutil.rmtree(self.var, ignore_errors=True)

    def parts(self) -> dict[str, list[int]]:
        """List the processes of each part: web, worker, rehearsal, database, and the supervisor of them all."""
        assert self._process is not None
        found: dict[str, list[int]] = {"web": [], "worker": [], "rehearsal": [], "database": [], "supervisor": []}
        root = self._process.pid
        server = lights_out.running(str(self.var / "postgres"))
        kept = set(meter.family(server)) if server else set()
        found["database"] = sorted(kept)
        named: set[int] = set()
        for child in meter.family(root):
            words = meter.command(child)[2:4]
            for part, word in _PARTS:
                # A part's own children have its command line; it is the eldest whose family is asked for.
                if child not in named and word in words:
                    found[part] = meter.family(child)
                    named.update(found[part])
        found["supervisor"] = [pid for pid in meter.family(root) if pid not in named | kept]
        return found

    def control(self, path: str, given: dict[str, Any] | None = None) -> Any:
        """Ask the rehearsal's control door, or tell it something."""
        request = urllib.request.Request(
            f"{self.rehearsal}/_rehearsal/{path}",
            data=None if given is None else json.dumps(given).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the shop's database."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def skus(self) -> list[str]:
        """Name every product on sale."""
        return [sku for (sku,) in self.ask("SELECT sku FROM catalog_product WHERE on_sale ORDER BY sku")]

    def complaints(self) -> list[str]:
        """Read what the parts wrote in their logs that a person should see."""
        found = []
        for log in sorted((self.var / "log").glob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if any(word in line for word in (" WARNING ", " ERROR ", " CRITICAL ", "Traceback")):
                    found.append(f"{log.stem}: {line[:300]}")
        return found
