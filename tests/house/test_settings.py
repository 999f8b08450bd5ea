"""A shop that is set up wrongly says what is wrong in one message and does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import check, rules


def told(var: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a ``todoku`` command in a person's terminal; what it says and how it ends."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "todoku", *arguments],
        cwd=rules.HOUSE,
        env={**kept, "TODOKU_VAR": str(var), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("wrong", "what_to_do"),
    [
        ({"TODOKU_ENV": "staging"}, "TODOKU_ENV must be rehearsal or production, not 'staging'"),
        ({"TODOKU_DEBUG": "maybe"}, "TODOKU_DEBUG must be on or off"),
        ({"DATABASE_URL": "mysql://root@localhost/shop"}, "runs on PostgreSQL only"),
        ({"DATABASE_URL": "postgresql://u:p@host:54x32/db"}, "DATABASE_URL cannot be read"),
        ({"STRIPE_SECRET_KEY": "sk_test_0123456789"}, "also set STRIPE_PUBLISHABLE_KEY and STRIPE_WEBHOOK_SECRET"),
        ({"TODOKU_REHEARSAL_URL": "http://example.jp"}, "must be on this machine"),
        ({**check.PRODUCTION, "TODOKU_SECRET_KEY": ""}, "set TODOKU_SECRET_KEY"),
        ({**check.PRODUCTION, "TODOKU_SECRET_KEY": "short"}, "at least 50 random characters"),
        (
            {**check.PRODUCTION, **{name: "" for name in check.PRODUCTION if name.startswith("STRIPE")}},
            "In production the rehearsal Stripe is refused",
        ),
    ],
)
def test_wrong_settings_are_refused_in_plain_words(wrong: dict[str, str], what_to_do: str, tmp_path: Path) -> None:
    status, said = told(tmp_path, "check", **wrong)
    assert (status, what_to_do in said, "Traceback" in said) == (2, True, False), said


def test_a_database_that_does_not_answer_is_said_before_anything_starts(tmp_path: Path) -> None:
    status, said = told(tmp_path, "migrate", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert status == 2
    assert "The database does not answer" in said
    assert "unset DATABASE_URL" in said
    assert "Traceback" not in said


def test_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    for wrong in ("0", "65536", "eighty", "-1", "8000; true"):
        assert told(tmp_path, "run", PORT=wrong) == (
            2,
            f"todoku: PORT must be a number from 1 to 65535, not {wrong!r}.\n",
        )


def test_the_key_of_a_rehearsal_shop_is_kept_and_private(tmp_path: Path) -> None:
    assert told(tmp_path, "check")[0] == 0
    kept = tmp_path / "secret_key"
    first = kept.read_text()
    assert told(tmp_path, "check")[0] == 0
    assert kept.read_text() == first
    assert kept.stat().st_mode & 0o077 == 0


def test_processes_that_start_at_once_in_an_empty_folder_have_one_whole_key(tmp_path: Path) -> None:
    asks = "import todoku.settings as s; print(s.SECRET_KEY)"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", asks],
            cwd=rules.HOUSE,
            env={**kept, "TODOKU_VAR": str(tmp_path / "var"), "DATABASE_URL": "postgresql:///none"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    keys = {process.communicate(timeout=60)[0].strip() for process in started}
    assert len(keys) == 1
    assert len(keys.pop()) > 50
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret_key"]
