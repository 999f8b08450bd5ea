"""What the tests of the bell share: somebody who listens at each kind of door, and cases to tell of."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from tests.flows.conftest import clock, mailbox

__all__ = ["chat", "clock", "mailbox", "topic"]


class Chat:
    """A chat's webhook on this machine: what it was told, and whether it takes it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.heard: list[dict[str, Any]] = []
        self.at: list[datetime] = []
        self.told = threading.Event()

    @property
    def url(self) -> str:
        """Its address, as apprise takes it; the path is the secret."""
        return f"json://127.0.0.1:{self.port}/services/T0SECRET/B0SECRET/XyzzySecretToken"

    @property
    def texts(self) -> list[str]:
        """What it was told, as text."""
        return [f"{one['title']}\n{one['message']}" for one in self.heard]


@pytest.fixture
def chat() -> Iterator[Chat]:
    """A chat that listens."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if listening.status == 200:
                listening.heard.append(json.loads(body))
                listening.at.append(datetime.now().astimezone())
                listening.told.set()
            self.send_response(listening.status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    listening = Chat(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield listening
    server.shutdown()
    server.server_close()


class Topic:
    """A topic of Amazon SNS, as moto's server has it."""

    def __init__(self, arn: str, url: str) -> None:
        self.arn = arn
        self.url = url

    @property
    def messages(self) -> list[tuple[str, str]]:
        """What was published: subject and text."""
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.sns import sns_backends

        published = sns_backends[DEFAULT_ACCOUNT_ID]["ap-northeast-1"].topics[self.arn].sent_notifications
        return [(subject, text) for _id, text, subject, *_ in published]


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Topic]:
    """A topic at an Amazon of our own, with credentials that open nothing."""
    import boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    made = boto3.client("sns", region_name="ap-northeast-1").create_topic(Name="todoku")
    yield Topic(made["TopicArn"], f"http://{host}:{port}")
    server.stop()
