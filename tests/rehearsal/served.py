"""A rehearsal in a process of its own, as `python -m rehearsal` starts it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import stripe

_ROOT = Path(__file__).parents[2]


class Served:
    """A started server: its address, the SDK talking to it, and its control door."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rehearsal", "--port", "0", *arguments],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Rehearsal Stripe on http"), line
        self.url = line.split(" on ")[1].split("/ ")[0]
        self.port = int(self.url.rsplit(":", 1)[1])

    def client(self, timeout: float = 10, retries: int = 0) -> stripe.StripeClient:
        return stripe.StripeClient(
            "sk_test_rehearsal",
            base_addresses={"api": self.url},
            http_client=stripe.RequestsClient(timeout=timeout),
            max_network_retries=retries,
        )

    def call(
        self, method: str, path: str, body: str | bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        text = response.read().decode()
        connection.close()
        return response.status, answered, text

    def control(self, method: str, path: str, given: Any = None) -> Any:
        body = json.dumps(given) if given is not None else b""
        status, _, text = self.call(method, f"/_rehearsal/{path}", body, {"Content-Type": "application/json"})
        assert status == 200, (status, text)
        return json.loads(text)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


def eventually(what: Any, seconds: float = 8.0) -> Any:
    """Asks again until the answer is true, and answers it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.03)
    return found
