"""``todoku run`` opens the whole shop, keeps it open, and leaves nothing behind when it closes."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.house.rules import HOUSE
from todoku import launch, lights_out

linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")


@contextlib.contextmanager
def a_taken_port() -> Iterator[int]:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        yield door.getsockname()[1]


def a_free_port() -> int:
    with a_taken_port() as port:
        return port


def until(true: Callable[[], object], within: float = 60.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.1)
    return False


class Terminal:
    """A person's terminal in which ``todoku run`` was typed."""

    def __init__(self, var: Path, **environment: str) -> None:
        self.var = var
        self.port = int(environment.get("PORT") or a_free_port())
        self.output = var.with_name("terminal.txt")
        # Only what a person's shell has: the tests' own settings must not reach the shop.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "todoku", "run"],
                cwd=HOUSE,
                env={**kept, "TODOKU_VAR": str(var), "PORT": str(self.port), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self.output.read_text()

    def open(self) -> bool:
        return until(lambda: "Ctrl-C closes the shop" in self.said() or self.process.poll() is not None) and (
            self.process.poll() is None
        )

    def healthy(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            line.request("GET", "/healthz")
            return line.getresponse().status == 200
        except OSError:
            return False
        finally:
            line.close()

    def left(self) -> list[str]:
        """List the commands of the processes that belong to this shop."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                ours = f"TODOKU_VAR={self.var}".encode() in (folder / "environ").read_bytes().split(b"\0")
                if command and (ours or str(self.var) in command or self._is_database(folder)):
                    found.append(f"{folder.name} {command}")
        return found

    def _is_database(self, folder: Path) -> bool:
        return str((folder / "cwd").readlink()).startswith(str(self.var))

    def part(self, command: str) -> int:
        """Tell the process number of one part of the shop; 0 when it does not run."""
        return next((int(line.split()[0]) for line in self.left() if command in line), 0)


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "var"
    yield folder
    terminal = Terminal.__new__(Terminal)
    terminal.var = folder
    for line in terminal.left() if Path("/proc/self").exists() else []:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(line.split()[0]), signal.SIGKILL)


@linux
@pytest.mark.timeout(240)
def test_a_shop_opens_closes_and_opens_again_as_it_was(var: Path) -> None:
    terminal = Terminal(var)
    assert terminal.open(), terminal.said()
    assert terminal.healthy()
    said = terminal.said()
    for word in (f"http://127.0.0.1:{terminal.port}/", "/console/", "operator", "4242 4242 4242 4242", "0002"):
        assert word in said
    assert "Traceback" not in said
    assert "Warning" not in said

    # A second one on the same state would take the first one's mail and money.
    second = Terminal(var)
    assert second.process.wait(30) == 2
    assert "This shop is open already" in second.said()

    # The same port with other state.
    third = Terminal(var.with_name("other"), PORT=str(terminal.port))
    assert third.process.wait(30) == 2
    assert f"Port {terminal.port} is taken" in third.said()
    assert "make run" in third.said()

    terminal.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert terminal.process.wait(30) == 0
    assert time.monotonic() - began < 15
    assert terminal.left() == []
    assert lights_out.running(str(var / "postgres")) is None
    key = (var / "secret_key").read_text()

    again = Terminal(var)
    assert again.open(), again.said()
    assert again.healthy()
    assert "demo catalogue" not in again.said()
    assert (var / "secret_key").read_text() == key
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(30) == 0
    assert again.left() == []


@linux
@pytest.mark.timeout(240)
def test_what_is_killed_is_started_again_and_nothing_outlives_the_supervisor(var: Path) -> None:
    terminal = Terminal(var)
    assert terminal.open(), terminal.said()
    for command, name in (("todoku worker", "worker"), ("gunicorn", "web"), ("-m rehearsal", "rehearsal")):
        before = terminal.part(command)
        os.kill(before, signal.SIGKILL)
        assert until(lambda name=name: f"The {name} was ended by SIGKILL" in terminal.said())  # type: ignore[misc]
        assert until(lambda command=command, before=before: terminal.part(command) not in (0, before))  # type: ignore[misc]
    assert until(terminal.healthy)

    server = lights_out.running(str(var / "postgres"))
    assert server is not None
    os.kill(server, signal.SIGKILL)
    assert until(lambda: "The database stopped; starting it again" in terminal.said())
    assert until(terminal.healthy)

    terminal.process.kill()
    terminal.process.wait()
    assert until(lambda: not terminal.left(), within=30), terminal.left()


@linux
@pytest.mark.timeout(120)
def test_ctrl_c_while_opening_leaves_nothing(var: Path) -> None:
    terminal = Terminal(var)
    assert until(lambda: "Opening" in terminal.said())
    time.sleep(0.7)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(30) == 0
    assert "Traceback" not in terminal.said()
    assert terminal.left() == []


@linux
@pytest.mark.timeout(120)
def test_a_part_that_cannot_start_is_named_with_its_last_words(var: Path) -> None:
    terminal = Terminal(var, TODOKU_WORKER_CONCURRENCY="many")
    assert terminal.process.wait(60) == 2
    assert "could not be prepared" in terminal.said()
    assert "ValueError" in terminal.said()
    assert terminal.left() == []


# Small decisions ---------------------------------------------------------------------------------------------


def test_another_port_is_chosen_when_one_is_taken() -> None:
    with a_taken_port() as port:
        assert not launch.is_free("127.0.0.1", port)
        assert launch.another_port(port) not in (port, 0)
    free = a_free_port()
    assert launch.another_port(free, free) != free


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(launch.CannotOpen, match=r"192\.0\.2\.1"):
        launch.is_free("192.0.2.1", 8000)


def test_production_starts_no_rehearsal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tests.house.check import PRODUCTION

    monkeypatch.setenv("TODOKU_VAR", str(tmp_path))
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    assert list(launch.commands(launch.plan("127.0.0.1", a_free_port()))) == ["worker", "web"]


def test_with_a_stripe_account_only_the_mailbox_rehearses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TODOKU_VAR", str(tmp_path))
    for name in ("TODOKU_ENV", "TODOKU_SMTP_HOST", "TODOKU_SMTP_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_0123456789")
    monkeypatch.setenv("STRIPE_PUBLISHABLE_KEY", "pk_test_0123456789")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_0123456789")
    chosen = launch.plan("127.0.0.1", a_free_port())
    assert (chosen.stripe, chosen.mailbox) == (False, True)
    assert "--webhook" not in launch.commands(chosen)["rehearsal"]
    monkeypatch.setenv("TODOKU_SMTP_HOST", "mail.example.jp")
    chosen = launch.plan("127.0.0.1", a_free_port())
    assert "rehearsal" not in launch.commands(chosen)
    assert chosen.environment()["TODOKU_SMTP_HOST"] == "mail.example.jp"


def test_only_what_matters_of_a_log_reaches_the_terminal(tmp_path: Path) -> None:
    part = launch.Part("worker", [], {}, tmp_path / "worker.log")
    part.log.write_text("12:00 INFO all is well\n12:01 WARNING a worker has died\nno ERROR in half a li")
    assert list(part.news()) == ["12:01 WARNING a worker has died"]
    with part.log.open("a") as log:
        log.write("ne\n" + "12:02 ERROR again\n" * 50)
    shown = list(part.news())
    assert len(shown) == launch.MOST_LINES
    assert shown[-1].startswith("… more in")
    part.log.write_text("")
    assert list(part.news()) == []


def test_columns_stand_straight_in_both_languages() -> None:
    rows = [launch._row("Shop · お店", "x", "y"), launch._row("Console", "x", "y")]
    assert len({launch._wide(row) for row in rows}) == 1
