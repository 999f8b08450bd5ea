"""`python -m rehearsal` serves a rehearsal Stripe on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rehearsal import BASE_URL, PUBLISHABLE_KEY, SECRET_KEY, WEBHOOK_SECRET, Webhook
from rehearsal.server import CannotServe, Settings, serve


def main(arguments: list[str] | None = None) -> int:
    """Reads the command line and serves; answers 2 with a clear sentence when it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal",
        description="A stateful stand-in for Stripe, on this machine only. "
        f"Keys: {SECRET_KEY} and {PUBLISHABLE_KEY}; address: {BASE_URL}.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8010, help="the port to serve on (default 8010)")
    parser.add_argument("--state", type=Path, help="the directory for the state; without it, memory only")
    parser.add_argument(
        "--webhook",
        action="append",
        default=[],
        metavar="URL",
        help="send events to this address; may be given several times",
    )
    parser.add_argument("--webhook-secret", default=WEBHOOK_SECRET, help="the secret events are signed with")
    parser.add_argument(
        "--webhook-events", default="*", help="the types to send, separated by commas (default all)"
    )
    parser.add_argument(
        "--webhook-payload",
        choices=("snapshot", "thin"),
        default="snapshot",
        help="whether events carry the object or only name it (default snapshot)",
    )
    parser.add_argument(
        "--rate-limits",
        choices=("off", "live", "sandbox"),
        default="off",
        help="refuse with 429 as Stripe does (default off)",
    )
    parser.add_argument(
        "--konbini-pays-by-itself",
        action="store_true",
        help="every ordinary konbini voucher is paid after three minutes, as in Stripe's test mode",
    )
    parser.add_argument(
        "--confirm-seconds", type=float, default=0.0, help="how long a confirm takes (default 0)"
    )
    parser.add_argument("--smtp-port", type=int, help="also take mail on this port and show it in the panel")
    parser.add_argument("--quiet", action="store_true", help="say nothing")
    given = parser.parse_args(arguments)
    events = tuple(type.strip() for type in given.webhook_events.split(",") if type.strip())
    try:
        serve(
            Settings(
                host=given.host,
                port=given.port,
                smtp_port=given.smtp_port,
                state=given.state,
                webhooks=tuple(
                    Webhook(url, given.webhook_secret, events, given.webhook_payload) for url in given.webhook
                ),
                rate_limits=given.rate_limits,
                konbini_pays_by_itself=given.konbini_pays_by_itself,
                confirm_seconds=given.confirm_seconds,
                quiet=given.quiet,
            )
        )
    except (CannotServe, ValueError) as wrong:
        print(wrong, file=sys.stderr)  # this is a command; its words go to the terminal
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
