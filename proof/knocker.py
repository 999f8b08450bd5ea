"""Times the webhook door over real HTTP, behind the web server as ``todoku run`` starts it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from django.db import connection

from proof.order_of_events import signed
from todoku import launch

#: Acknowledgements measured with one sender and nothing else to do.
IDLE = 1_000
SENDERS, EACH = 50, 40
DOOR = "/webhooks/stripe/"


def time_the_door(idle: int = IDLE, each: int = EACH) -> list[tuple[str, str]]:
    """Start the web server on the proof's database; answer the figures (milliseconds)."""
    with tempfile.TemporaryDirectory() as folder:
        host, port = "127.0.0.1", launch.another_port(8100)
        web = launch.commands(launch.plan(host, port))["web"]
        settings = connection.settings_dict
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "todoku.settings",
            "DATABASE_URL": _address(settings),
            "TODOKU_LOG_LEVEL": "ERROR",
        }
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(web, env=environment, stdout=log, stderr=log)
            try:
                _wait(host, port, server)
                alone = _sorted([_knock(host, port, idle, "a")])
                many: list[list[float]] = []
                looks: list[float] = []
                threads = [
                    threading.Thread(target=lambda name=name: many.append(_knock(host, port, each, f"b{name}")))
                    for name in range(SENDERS)
                ]
                began = time.perf_counter()
                for thread in threads:
                    thread.start()
                while any(thread.is_alive() for thread in threads):
                    looks.append(_look(host, port))
                    time.sleep(0.05)
                took = time.perf_counter() - began
            finally:
                server.terminate()
                server.wait(10)
    crowd = _sorted(many)
    return [
        ("web server", "gunicorn, 2 processes × 8 threads, HTTP over loopback, kept connections"),
        ("acknowledged, one sender: p50 / p99", f"{_at(alone, 0.5):.1f} / {_at(alone, 0.99):.1f} ms"),
        (f"acknowledged, {SENDERS} senders: p50 / p99", f"{_at(crowd, 0.5):.0f} / {_at(crowd, 0.99):.0f} ms"),
        (f"events a second, {SENDERS} senders", f"{len(crowd) / took:.0f}"),
        ("another page meanwhile (/healthz): p50 / slowest", f"{_at(sorted(looks), 0.5):.0f} / {max(looks):.0f} ms"),
    ]


def _address(settings: dict[str, object]) -> str:
    user, host, port = settings["USER"], settings["HOST"], settings["PORT"]
    return f"postgresql://{user}@/{settings['NAME']}?host={host}" + (f"&port={port}" if port else "")


def _wait(host: str, port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            _look(host, port)
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the web server did not start")


def _look(host: str, port: int) -> float:
    door = http.client.HTTPConnection(host, port, timeout=30)
    began = time.perf_counter()
    door.request("GET", "/healthz")
    answer = door.getresponse()
    answer.read()
    door.close()
    assert answer.status == 200, answer.status
    return (time.perf_counter() - began) * 1000


def _knock(host: str, port: int, count: int, name: str) -> list[float]:
    """Send so many events, each new, about real payments of the shop's; answer how long each took (milliseconds)."""
    door = http.client.HTTPConnection(host, port, timeout=60)
    took = []
    for number in range(count):
        raw = json.dumps(
            {
                "id": f"evt_timed_{name}_{number}", "object": "event", "type": "payment_intent.succeeded",
                "livemode": False, "created": int(time.time()), "padding": "x" * 3_000,
                "data": {"object": {"id": "pi_of_nobody", "object": "payment_intent"}},
            }
        ).encode()  # fmt: skip
        header = {"Stripe-Signature": signed(raw), "Content-Type": "application/json"}
        began = time.perf_counter()
        door.request("POST", DOOR, raw, header)
        answer = door.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, answer.status
    door.close()
    return took


def _sorted(rounds: list[list[float]]) -> list[float]:
    return sorted(number for one in rounds for number in one)


def _at(numbers: list[float], share: float) -> float:
    return numbers[min(len(numbers) - 1, int(len(numbers) * share))]


if __name__ == "__main__":
    sys.exit("run python -m proof hostile")
