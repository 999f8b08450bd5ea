"""``todoku run``: the whole shop on one machine, opened by one command and closed by Ctrl-C.

It starts the database, the rehearsal Stripe with its mailbox, the worker and the web, in that order, watches
them, and stops them in the order in which work flows: nobody new comes in, what is under way ends, the rest goes.
It is kept small on purpose (it never loads Django): it should be the last thing on the machine to fail.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from todoku import database, lights_out, postgres
from todoku.gateways import keys
from todoku.webhooks.wanted import WANTED

#: A part that stops is started again; so often within a minute, and it is broken rather than unlucky.
MOST_RESTARTS = 5
#: How long each part has to end what it is doing once it is told to stop (seconds).
GRACE = {"web": 4.0, "worker": 6.0, "rehearsal": 2.0}
LONGEST_LOG = 20 * 1024 * 1024
WORTH_SHOWING = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")
#: Lines of one part shown on the terminal in ten seconds; the rest is in its log.
MOST_LINES = 6


class CannotOpen(Exception):
    """The shop cannot open; the message says why and what to do."""


# What the person at the terminal sees ------------------------------------------------------------------------


def say(line: str = "") -> None:
    """Print a line; a terminal that went away must not stop the shop from closing properly."""
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)


def _wide(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _row(name: str, value: str, note: str = "") -> str:
    note = f"{' ' * max(2, 34 - _wide(value))}{note}" if note else ""
    return f"    {name}{' ' * max(1, 26 - _wide(name))}{value}{note}"


# Where it listens ------------------------------------------------------------------------------------------


def port_of(text: str) -> int:
    """Read ``PORT``; raise CannotOpen unless it is a number a shop can listen on."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise CannotOpen(f"PORT must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def is_free(host: str, port: int) -> bool:
    """Tell whether nobody listens there; raise CannotOpen when we may not listen there at all."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise CannotOpen(
            f"TODOKU_HOST must be an address of this machine, not {host!r} ({error.strerror})."
        ) from error
    with socket.socket(family, kind, protocol) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(address)
            door.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EACCES:
                raise CannotOpen(
                    f"This user may not listen on port {port}: numbers below 1024 are for root. "
                    "Try another: PORT=8000 make run"
                ) from error
            raise CannotOpen(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
    return True


def another_port(wanted: int, *taken: int) -> int:
    """Choose ``wanted`` if it is free, and any free one if it is not: two shops then do not meet again at the next."""
    if wanted not in taken and is_free("127.0.0.1", wanted):
        return wanted
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
    raise CannotOpen("There is no free port on this machine.")


@dataclass(frozen=True)
class Plan:
    """Everything decided before the first process starts."""

    host: str
    port: int
    rehearsal_port: int
    smtp_port: int
    #: The rehearsal Stripe plays Stripe; without it only its mailbox runs.
    stripe: bool
    #: Mails go to the rehearsal's mailbox.
    mailbox: bool
    production: bool
    var: Path
    site: str

    @property
    def loopback(self) -> bool:
        return self.host in ("127.0.0.1", "localhost", "::1")

    def environment(self) -> dict[str, str]:
        """What every part is told."""
        told = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "todoku.settings"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "TODOKU_VAR": str(self.var),
            "TODOKU_SITE_URL": self.site,
            "TODOKU_REHEARSAL_URL": f"http://127.0.0.1:{self.rehearsal_port}",
            "TODOKU_LOOPBACK": "1" if self.loopback else "0",
        }
        if self.mailbox:
            told |= {"TODOKU_SMTP_HOST": "127.0.0.1", "TODOKU_SMTP_PORT": str(self.smtp_port)}
        return told


def plan(host: str, port: int) -> Plan:
    """Decide what runs where; raise CannotOpen, or ImproperlyConfigured for Stripe's keys, with what to do."""
    production = os.environ.get("TODOKU_ENV", "rehearsal") == "production"
    if not is_free(host, port):
        other = next((p for p in range(port + 1, min(port + 100, 65536)) if is_free(host, p)), 8001)
        raise CannotOpen(
            f"Port {port} is taken by another program (perhaps a shop that still runs).\n"
            f"Stop it, or open on another port: PORT={other} make run\n"
            f"ポート {port} は使用中です。別のポートで: PORT={other} make run"
        )
    stripe = keys.read(os.environ, production=production, rehearsal_url="http://127.0.0.1").rehearsal
    mailbox = not production and not {"TODOKU_SMTP_HOST", "TODOKU_SMTP_PORT"} & set(os.environ)
    rehearsal_port = another_port(8010, port)
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared only
    return Plan(
        host=host,
        port=port,
        rehearsal_port=rehearsal_port,
        smtp_port=another_port(1025, port, rehearsal_port),
        stripe=stripe,
        mailbox=mailbox,
        production=production,
        var=database.var(),
        site=os.environ.get("TODOKU_SITE_URL", f"http://{shown}:{port}").rstrip("/"),
    )


# The parts -------------------------------------------------------------------------------------------------


def commands(chosen: Plan) -> dict[str, list[str]]:
    """Tell how each part is started, in the order in which they start."""
    python = [sys.executable, "-m"]
    parts: dict[str, list[str]] = {}
    if chosen.stripe or chosen.mailbox:
        parts["rehearsal"] = [
            *(*python, "rehearsal", "--port", str(chosen.rehearsal_port)),
            *("--state", str(chosen.var / "rehearsal"), "--smtp-port", str(chosen.smtp_port)),
        ]
        if chosen.stripe:
            parts["rehearsal"] += [
                *("--webhook", f"http://127.0.0.1:{chosen.port}/webhooks/stripe/"),
                *("--webhook-secret", "whsec_rehearsal", "--webhook-events", ",".join(WANTED)),
            ]
    parts["worker"] = [*python, "todoku", "worker"]
    bind = f"[{chosen.host}]:{chosen.port}" if ":" in chosen.host else f"{chosen.host}:{chosen.port}"
    parts["web"] = [
        *(*python, "gunicorn", "todoku.wsgi:application", "--bind", bind),
        *("--worker-class", "gthread", "--workers", os.environ.get("TODOKU_WEB_PROCESSES", "2")),
        *("--threads", os.environ.get("TODOKU_WEB_THREADS", "8"), "--name", "todoku"),
        # A request waits for no payment (the worker does), so one that takes a minute is stuck.
        *("--timeout", "60", "--graceful-timeout", "3", "--keep-alive", "5"),
        *("--no-control-socket", "--log-level", "warning"),
    ]
    # The web's sign of life is a file that must never wait for a slow disk.
    if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK):  # noqa: S108
        parts["web"] += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108
    return parts


def _die_with_me() -> Callable[[], None] | None:
    """Make what a child does first: ask the kernel to stop it should this process be killed."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    mine = os.getpid()

    def ask() -> None:
        libc.prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG
        if os.getppid() != mine:  # it was killed just before we asked
            os._exit(1)

    return ask


@dataclass
class Part:
    """One process of the shop, and the log it writes."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    #: Its hold on the embedded database, which stays for as long as one part lives.
    hold: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    #: When it was started, the latest last.
    starts: list[float] = field(default_factory=list)
    #: When to start it again, while it waits for that.
    again_at: float | None = None
    _read_to: int = 0
    _shown: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches only the supervisor."""
        self.again_at = None
        self.starts.append(time.monotonic())
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=Path(__file__).resolve().parent.parent,
                start_new_session=True,
                pass_fds=self.hold,
                preexec_fn=_die_with_me(),  # safe: this process has one thread
            )

    def ended(self) -> int | None:
        """Tell how it ended: its exit status, or None while it runs."""
        return None if self.process is None else self.process.poll()

    def signal_group(self, number: int) -> None:
        """Tell it and whatever it started; what is left of them when it died itself, too."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def news(self) -> Iterator[str]:
        """Read what was written to the log since last time; yield what a person should see."""
        try:
            size = self.log.stat().st_size
            if size < self._read_to:
                self._read_to = 0
            if size == self._read_to:
                return
            with self.log.open("rb") as file:
                file.seek(self._read_to)
                text = file.read(256 * 1024)
        except OSError:
            return
        whole = text.rfind(b"\n") + 1
        self._read_to += whole or (len(text) if len(text) == 256 * 1024 else 0)
        now = time.monotonic()
        for line in text[:whole].decode(errors="replace").splitlines():
            if not WORTH_SHOWING.search(line):
                continue
            self._shown = [at for at in self._shown if now - at < 10]
            self._shown.append(now)
            if len(self._shown) <= MOST_LINES:
                yield line[:400]
            elif len(self._shown) == MOST_LINES + 1:
                yield f"… more in {self.log}"
        if self._read_to > LONGEST_LOG:
            self._trim()

    def _trim(self) -> None:
        """Move a log that has grown too long aside; the process goes on writing at its new end."""
        with contextlib.suppress(OSError):
            self.log.with_suffix(".log.1").write_bytes(self.log.read_bytes())
            os.truncate(self.log, 0)
            self._read_to = 0

    def last_lines(self, count: int = 12) -> list[str]:
        """Give the end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 16 * 1024))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except OSError:
            return []


def _how(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


# The supervisor ----------------------------------------------------------------------------------------------


class Shop:
    """The open shop: starts its parts, watches them, stops them."""

    def __init__(self, chosen: Plan) -> None:
        self.plan = chosen
        self.parts: dict[str, Part] = {}
        #: The embedded database's folder, when that is the one in use.
        self.embedded: Path | None = None
        self._looked_at = 0.0
        #: Set by a signal: somebody wants the shop closed.
        self.closing = 0

    def wanted_closed(self, number: int, frame: object) -> None:
        """Remember that somebody asked; the loop sees it. A second time means at once."""
        self.closing += 1

    def open(self) -> None:
        """Prepare and start everything, and wait until the shop answers. Returns early when told to close."""
        logs = self.plan.var / "log"
        logs.mkdir(parents=True, exist_ok=True)
        environment = self.plan.environment()
        hold = postgres.held(self.embedded) if self.embedded else ()
        login = self._prepare(logs, environment, hold)
        # Preparing took a while; another shop may have opened on these ports meanwhile.
        rehearsal_port = another_port(self.plan.rehearsal_port, self.plan.port)
        smtp_port = another_port(self.plan.smtp_port, self.plan.port, rehearsal_port)
        self.plan = replace(self.plan, rehearsal_port=rehearsal_port, smtp_port=smtp_port)
        environment = self.plan.environment()
        for name, command in commands(self.plan).items():
            part = self.parts[name] = Part(name, command, environment, _new_log(logs, name), hold)
            part.start()
            if name == "rehearsal":
                self._wait(lambda: _listens(self.plan.rehearsal_port), part, 30)
        self._wait(self._healthy, self.parts["web"], 60)
        if not self.closing:
            self._welcome(login)

    def _prepare(self, logs: Path, environment: dict[str, str], hold: tuple[int, ...]) -> list[str] | None:
        log = _new_log(logs, "prepare")
        login: list[str] | None = None
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "todoku.prepare"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=Path(__file__).resolve().parent.parent,
                start_new_session=True,
                pass_fds=hold,
                preexec_fn=_die_with_me(),  # safe: this process has one thread
            )
        part = Part("preparation", [], environment, log, hold, process)
        self.parts["preparation"] = part
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        heard = b""
        while True:
            over = process.poll() is not None
            heard += process.stdout.read() or b""
            *lines, heard = heard.split(b"\n")
            for line in lines:
                fact = json.loads(line) if line.startswith(b"{") else {}
                login = fact.get("login", login)
                if "did" in fact:
                    say(f"  {fact['did']}")
            if over or self.closing:
                break
            time.sleep(0.05)
        process.stdout.close()
        if not self.closing and process.returncode != 0:
            raise CannotOpen(_told_why(part, "The shop could not be prepared"))
        if not self.closing:
            del self.parts["preparation"]
        return login

    def _wait(self, ready: Callable[[], bool], part: Part, patience: float) -> None:
        deadline = time.monotonic() + patience
        while not self.closing and not ready():
            for each in self.parts.values():
                status = each.ended()
                if status is not None:
                    raise CannotOpen(_told_why(each, f"The {each.name} {_how(status)} while opening"))
            if time.monotonic() > deadline:
                raise CannotOpen(_told_why(part, f"The {part.name} did not answer within {patience:.0f} seconds"))
            time.sleep(0.1)

    def _healthy(self) -> bool:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.plan.host, self.plan.host)  # noqa: S104 - compared
        line = http.client.HTTPConnection(host, self.plan.port, timeout=5)
        name = self.plan.site.split("://", 1)[-1]
        try:
            line.request("GET", "/healthz", headers={"Host": name, "X-Forwarded-Proto": "https"})
            return line.getresponse().status in (200, 301)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            line.close()

    def watch(self) -> None:
        """Keep the shop open until somebody wants it closed; start again what stops by itself."""
        while not self.closing:
            for part in self.parts.values():
                for line in part.news():
                    say(f"  {part.name}: {line}")
                status = part.ended()
                if status is not None and part.again_at is None:
                    self._start_again(part, status)
                elif part.again_at is not None and time.monotonic() >= part.again_at:
                    part.start()
            self._mend_the_database()
            time.sleep(0.2)

    def _mend_the_database(self) -> None:
        """Start the embedded database again should it have been killed (the kernel does, short of memory)."""
        if self.embedded is None or time.monotonic() - self._looked_at < 2:
            return
        self._looked_at = time.monotonic()
        if lights_out.running(str(self.embedded)) is None:
            say("  The database stopped; starting it again.")
            postgres.start(self.embedded)

    def _start_again(self, part: Part, status: int) -> None:
        part.signal_group(signal.SIGKILL)  # what a killed part left would keep its port
        recent = [at for at in part.starts if time.monotonic() - at < 60]
        if len(recent) > MOST_RESTARTS:
            raise CannotOpen(_told_why(part, f"The {part.name} {_how(status)} again and again"))
        pause = 0.25 * 2 ** (len(recent) - 1) if recent else 0.25
        part.again_at = time.monotonic() + pause
        say(f"  The {part.name} {_how(status)}; starting it again in {pause:g} s. Its log: {part.log}")

    def close(self) -> None:
        """Stop everything: no new customers, then the work under way, then the rest, then the database."""
        for name in ("preparation", "web", "worker", "rehearsal"):
            part = self.parts.get(name)
            if part is None or part.process is None:
                continue
            hurry = self.closing
            if part.ended() is None:
                with contextlib.suppress(ProcessLookupError):
                    part.process.send_signal(signal.SIGTERM)
                deadline = time.monotonic() + GRACE.get(name, 2.0)
                while part.ended() is None and time.monotonic() < deadline and self.closing <= max(hurry, 1):
                    time.sleep(0.05)
            part.signal_group(signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.process.wait(2)
        if self.embedded and not postgres.leave(self.embedded, wait=8):
            say("  The database stays: another process of this shop still uses it.")

    def _welcome(self, login: list[str] | None) -> None:
        chosen = self.plan
        rehearsal = f"http://127.0.0.1:{chosen.rehearsal_port}"
        say()
        say("  届く Todoku is open.  開店しました。")
        say()
        say(_row("Shop · お店", f"{chosen.site}/"))
        say(_row("Console · 管理画面", f"{chosen.site}/console/", " / ".join(login) if login else ""))
        if chosen.mailbox:
            say(_row("Mailbox · メール", f"{rehearsal}/mail"))
        if chosen.stripe:
            say(_row("Rehearsal Stripe", f"{rehearsal}/"))
            say()
            say("    Cards to try: any future date, any CVC.  試せるカード(有効期限は未来、CVCは何でも)")
            say(_row("4242 4242 4242 4242", "pays · 支払い成功"))
            say(_row("4000 0000 0000 0002", "is declined · 拒否される"))
            say(_row("4000 0025 0000 3155", "asks for 3-D Secure · 本人認証あり"))
            say(_row("Konbini · コンビニ払い", f"pay the voucher in the panel · パネルで支払う: {rehearsal}/"))
        elif not chosen.production:
            say()
            say("    Your own Stripe account is used. So that its events arrive here, run in another terminal:")
            say(f"      stripe listen --forward-to 127.0.0.1:{chosen.port}/webhooks/stripe/")
        if chosen.production:
            say(_row("", "a first operator: python -m todoku createsuperuser"))
        if not chosen.loopback and not chosen.production:
            say()
            say("    Careful: others on your network can reach this shop.")
        say()
        say(f"    Logs: {chosen.var / 'log'}    Ctrl-C closes the shop · 閉店は Ctrl-C")
        say()


def _new_log(logs: Path, name: str) -> Path:
    """Put the last start's log aside and begin a new one."""
    log = logs / f"{name}.log"
    if log.exists():
        log.replace(logs / f"{name}.log.1")
    log.touch()
    return log


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _told_why(part: Part, what: str) -> str:
    lines = "".join(f"    {line[:400]}\n" for line in part.last_lines())
    return f"{what}. The end of its log ({part.log}):\n{lines}" if lines else f"{what}. Its log: {part.log}"


@contextlib.contextmanager
def _only_one(var: Path, site: str) -> Iterator[None]:
    """Hold the folder's lock: two shops on one state would take each other's mail and money."""
    try:
        var.mkdir(parents=True, exist_ok=True)
        file: IO[str] = (var / "run.lock").open("a+")
    except OSError as error:
        raise CannotOpen(
            f"The folder {var} cannot be used ({error.strerror}). Set TODOKU_VAR to a folder you can write."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise CannotOpen(
                f"This shop is open already: {file.read().strip() or 'it is just starting'}.\n"
                "Close it first, or give the second one its own folder: TODOKU_VAR=/tmp/other PORT=8001 make run"
            ) from error
        file.truncate(0)
        file.write(f"{site} (process {os.getpid()})")
        file.flush()
        yield


def main(arguments: list[str]) -> int:
    """Open the shop and keep it open until Ctrl-C; 0 when it was closed on purpose."""
    parser = argparse.ArgumentParser(prog="todoku run", description="Open the whole shop on this machine.")
    parser.add_argument("--port", default=os.environ.get("PORT") or "8000", help="the shop's port (PORT; 8000)")
    parser.add_argument(
        "--host", default=os.environ.get("HOST") or "127.0.0.1", help="the address (HOST; 127.0.0.1)"
    )
    chosen = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        decided = plan(chosen.host, port_of(chosen.port))
        with _only_one(decided.var, decided.site):
            return _run(Shop(decided))
    except CannotOpen as error:
        print(f"todoku: {error}", file=sys.stderr)
        return 2


def _run(shop: Shop) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, shop.wanted_closed)
    say("  Opening the shop … 開店準備中")
    if not os.environ.get("DATABASE_URL"):
        shop.embedded = shop.plan.var / "postgres"
    database.ensure()
    try:
        database.check_reachable()
        if not shop.closing:
            shop.open()
        shop.watch()
        say("\r  Closing … 閉店中")
    finally:
        shop.close()
    say("  Closed. Everything is kept for next time: make run  また開けます。")
    return 0
