"""The embedded PostgreSQL is shared by whoever needs it, stops with the last of them, and outlives every kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.house.rules import HOUSE
from todoku import database, lights_out, postgres

#: Joins the server of a folder, says where it is, and stays until its standard input ends.
USER = """
import sys
from pathlib import Path
from todoku import postgres
print(postgres.start(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def user(home: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(home)],
        cwd=HOUSE,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def where(process: subprocess.Popen[str]) -> str:
    """Wait for its URL; as root it may say first which folders it let the server pass."""
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        if line.startswith("postgresql://"):
            return line.strip()
        heard.append(line)
    raise AssertionError("".join(heard))


def gone(home: Path, within: float = 10) -> bool:
    deadline = time.monotonic() + within
    while lights_out.running(str(home)) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    return lights_out.running(str(home)) is None


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data folder under a path with a space and a sign that is not ASCII."""
    folder = tmp_path / "my shop 店"
    folder.mkdir()
    yield folder / "postgres"
    pid = lights_out.running(str(folder / "postgres"))
    if pid is not None:
        os.kill(pid, signal.SIGQUIT)


def test_many_may_start_it_at_once_and_the_last_turns_off_the_light(home: Path) -> None:
    users = [user(home) for _ in range(4)]
    urls = {where(each) for each in users}
    assert len(urls) == 1
    with psycopg.connect(urls.pop(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('昨日の注文')")
        told = connection.execute(
            "SELECT current_setting('synchronous_commit'), current_setting('fsync'),"
            " current_setting('listen_addresses'), current_setting('server_encoding')"
        ).fetchone()
        assert told == ("on", "on", "", "UTF8")
    for each in users[:3]:
        each.communicate()
    time.sleep(0.3)
    assert lights_out.running(str(home)) is not None
    users[3].communicate()
    assert gone(home)
    again = user(home)
    with psycopg.connect(where(again)) as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("昨日の注文",)
    again.communicate()
    assert gone(home)


def test_it_stops_even_when_its_users_are_killed(home: Path) -> None:
    users = [user(home), user(home)]
    for each in users:
        where(each)
    for each in users:
        each.kill()
        each.communicate()
    assert gone(home)


def test_a_newcomer_during_the_stop_gets_a_running_server(home: Path) -> None:
    first = user(home)
    where(first)
    for _ in range(5):
        second = None
        first.kill()
        first.communicate()
        second = user(home)
        with psycopg.connect(where(second)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        first = second
    first.communicate()


def test_it_recovers_when_everything_was_killed(home: Path) -> None:
    one = user(home)
    with psycopg.connect(where(one), autocommit=True) as connection:
        connection.execute("CREATE TABLE paid (number int)")
        connection.execute("INSERT INTO paid VALUES (42)")
    server = lights_out.running(str(home))
    assert server is not None
    os.kill(server, signal.SIGKILL)
    one.kill()
    one.communicate()
    two = user(home)
    with psycopg.connect(where(two)) as connection:
        assert connection.execute("SELECT number FROM paid").fetchone() == (42,)
    two.communicate()


def test_another_programs_process_number_is_not_taken_for_the_server(home: Path) -> None:
    one = user(home)
    where(one)
    one.communicate()
    assert gone(home)
    # After a restart of the machine the old number belongs to somebody else: here, to this test.
    stale = f"{os.getpid()}\n{home}\n1\n5432\n{home}\n\n1 1\nready\n"
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (home / name).write_text(stale)
    two = user(home)
    with psycopg.connect(where(two)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    two.communicate()


def test_a_half_made_folder_is_made_anew(home: Path) -> None:
    half = home.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    one = user(home)
    assert where(one).startswith("postgresql://")
    one.communicate()
    assert not half.exists()


def test_a_path_too_long_for_a_socket_works_all_the_same(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30) / "postgres"
    one = user(home)
    url = where(one)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    sockets = Path(url.split("host=")[1].split("&")[0])
    assert sockets.stat().st_mode & 0o077 == 0
    one.communicate()
    assert gone(home)
    shutil.rmtree(sockets)


# Messages ----------------------------------------------------------------------------------------------------


def test_another_users_folder_is_said_to_be_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: home.stat().st_uid + 4242)
    with pytest.raises(database.DatabaseUnusable, match=r"belongs to the user .* set TODOKU_VAR"):
        postgres.start(home)


def test_a_full_disk_is_said_before_it_hurts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nearly = shutil._ntuple_diskusage(10**9, 10**9 - 5 * 1024**2, 5 * 1024**2)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly)
    with pytest.raises(database.DatabaseUnusable, match="nearly full: 5 MB are free"):
        postgres.start(home)


def test_data_of_another_version_is_left_alone(home: Path) -> None:
    home.mkdir()
    (home / "PG_VERSION").write_text("16\n")
    one = user(home)
    said = one.communicate()[0]
    assert one.returncode != 0
    assert "was made by PostgreSQL 16; this is 18" in said
    assert [path.name for path in home.iterdir()] == ["PG_VERSION"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(database.DatabaseUnusable, match=r"cannot be made .*Set TODOKU_VAR"):
        postgres.start(tmp_path / "file" / "var" / "postgres")


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('FATAL:  could not write to file "x": No space left on device', "The disk is full"),
        ("initdb: error: could not access directory: Permission denied", "a folder you can write"),
        ("FATAL:  could not create shared memory segment", "too little shared memory"),
        ("FATAL:  something new", "set DATABASE_URL"),
        ("", "set DATABASE_URL"),
    ],
)
def test_the_servers_own_words_come_with_advice(said: str, advice: str) -> None:
    told = str(postgres._why(Path("/shop/var/postgres"), said))
    assert advice in told
    assert "/shop/var/postgres/log" in told
    assert said in told


# DATABASE_URL ------------------------------------------------------------------------------------------------


def test_a_url_is_read_whole() -> None:
    found = database.django_settings("postgresql://shop%40jp:p%2Fw%3A@db.example.jp:6432/orders?sslmode=require")
    names = ("USER", "PASSWORD", "HOST", "PORT", "NAME")
    assert tuple(found[name] for name in names) == ("shop@jp", "p/w:", "db.example.jp", "6432", "orders")
    assert found["OPTIONS"]["sslmode"] == "require"


def test_the_embedded_servers_url_is_read_whole() -> None:
    found = database.django_settings(postgres._url_of(Path("/my shop/店/postgres")))
    assert (found["HOST"], found["PORT"], found["USER"]) == ("/my shop/店/postgres", "5432", "postgres")


@pytest.mark.parametrize("url", ["mysql://a/b", "sqlite:///x", "shop", "postgresql://host:port/x", "postgres://[::1/x"])
def test_what_is_no_postgresql_url_is_refused(url: str) -> None:
    with pytest.raises(database.DatabaseUnusable, match="must look like postgresql://"):
        database.django_settings(url)


def test_a_server_that_does_not_answer_is_said_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://shop:hunter2@127.0.0.1:1/orders")
    with pytest.raises(database.DatabaseUnusable, match="does not answer") as refused:
        database.check_reachable()
    assert "hunter2" not in str(refused.value)
