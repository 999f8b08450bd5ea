"""Serving a rehearsal over HTTP, on loopback, until it is told to stop."""

from __future__ import annotations

import signal
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from rehearsal import control, pages
from rehearsal.api import Rehearsal
from rehearsal.door import App, Door, is_loopback
from rehearsal.mailbox import Mailbox
from rehearsal.webhook_endpoints import Webhook


class CannotServe(Exception):
    """The server cannot start; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to serve and with what; every default suits a shop on the same machine."""

    host: str = "127.0.0.1"
    port: int = 8010
    smtp_port: int | None = None
    state: Path | None = None
    webhooks: tuple[Webhook, ...] = ()
    confirm_seconds: float = 0.0
    rate_limits: str = "off"
    konbini_pays_by_itself: bool = False
    quiet: bool = False


def application(rehearsal: Rehearsal, mailbox: Mailbox) -> App:
    """Answers the ASGI application for a rehearsal and its mailbox."""
    site = Starlette(routes=[*control.routes(rehearsal, mailbox), *pages.routes(rehearsal, mailbox)])
    return Door(rehearsal, site)


def check_host(host: str) -> None:
    """Refuses any address that others could reach: there is no password here."""
    if not is_loopback(host):
        raise CannotServe(
            f"The rehearsal serves on loopback only and refuses {host}: anyone who can reach it can steer it. "
            "Use 127.0.0.1."
        )


def listening(host: str, port: int, what: str = "port") -> socket.socket:
    """Opens the socket, or says in plain words why it cannot."""
    check_host(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, because asyncio sends small answers at once only where it knows it is TCP.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host.strip("[]"), port))
        # From here on callers wait in line instead of being refused, though the server is still starting.
        opened.listen(2048)
    except OSError as wrong:
        opened.close()
        raise CannotServe(
            f"The rehearsal cannot use {what} {port} on {host}: {wrong.strerror or wrong}. Is another one running? "
            "Stop it, or choose another port with --port."
        ) from None
    return opened


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; what is under way is finished, what is planned is kept."""
    opened = listening(settings.host, settings.port)
    port = opened.getsockname()[1]
    rehearsal = Rehearsal(
        state=settings.state,
        webhooks=settings.webhooks,
        base_url=f"http://{settings.host}:{port}",
        confirm_seconds=settings.confirm_seconds,
        rate_limits=settings.rate_limits,
        konbini_pays_by_itself=settings.konbini_pays_by_itself,
    )
    mailbox = Mailbox(rehearsal)
    if settings.smtp_port is not None:
        try:
            mailbox.start(settings.host, settings.smtp_port)
        except OSError as wrong:
            rehearsal.close()
            raise CannotServe(
                f"The mailbox cannot use port {settings.smtp_port}: {wrong.strerror or wrong}. "
                "Choose another with --smtp-port."
            ) from None
    config = uvicorn.Config(
        application(rehearsal, mailbox),
        log_level="warning",
        # The addresses of requests may hold client secrets; the panel keeps a log without them.
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
        # Clients keep their connections; a short patience here would break one just as it is used again.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )
    if not settings.quiet:
        _say(f"Rehearsal Stripe on http://{settings.host}:{port}/ (panel, cards to try, webhooks, mail)")
    if threading.current_thread() is threading.main_thread():
        # uvicorn stops in good order and then raises the signal once more; being told to stop is no failure.
        signal.signal(signal.SIGTERM, lambda *told: None)
    try:
        uvicorn.Server(config).run(sockets=[opened])
    finally:
        mailbox.stop()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the one line that tells a person where it is
