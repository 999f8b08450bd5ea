"""The audit log: only ever added to, chained, whole under many acts at once, and no act without its line."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction

from todoku.audit import chain
from todoku.audit.models import Entry
from todoku.audit.write import write


@pytest.fixture
def three(transactional_db: None) -> list[Entry]:
    """Three acts that were done."""
    for who, what in (("花子", "発送しました"), ("owner", "a, b"), ("", "")):
        write(who=who, act="changed", what=what, before={"名": "あ"}, after={"名": "い"}, orders=["T1", "T2"])
    return list(Entry.objects.order_by("number"))


def meddle(sql: str) -> None:
    """Do to the rows what only somebody with the whole database in hand can do: put its rules aside."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql)


def test_every_row_holds_the_seal_of_the_one_before(three: list[Entry]) -> None:
    assert [entry.number for entry in three] == [1, 2, 3]
    assert [entry.previous for entry in three] == [chain.START, three[0].seal, three[1].seal]
    assert all(entry.seal == chain.seal_of(entry) for entry in three)
    assert list(chain.broken()) == []
    assert three[0].change == [("名", "あ", "い")]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_entry SET what = 'x' WHERE number = 2",
        "UPDATE audit_entry SET seal = '', number = NULL WHERE number = 3",
        "DELETE FROM audit_entry WHERE number = 3",
        "TRUNCATE audit_entry",
    ],
)
def test_the_database_itself_refuses_to_change_or_delete(sql: str, three: list[Entry]) -> None:
    with pytest.raises(DatabaseError, match="only ever added to"), connection.cursor() as cursor:
        cursor.execute(sql)
    assert Entry.objects.count() == 3


def test_a_row_that_brings_a_seal_along_gets_its_own(three: list[Entry]) -> None:
    Entry.objects.create(who="forger", act="changed", number=1000, previous="f" * 64, seal="f" * 64)
    forged = Entry.objects.get(who="forger")
    assert (forged.number, forged.previous, forged.seal) == (4, three[2].seal, chain.seal_of(forged))


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        ("UPDATE audit_entry SET what = 'nothing happened' WHERE number = 2", {2}),
        ("UPDATE audit_entry SET at = at + interval '1 microsecond' WHERE number = 1", {1}),
        ("DELETE FROM audit_entry WHERE number = 2", {2}),
        ("UPDATE audit_entry SET who = 'a', role = '' WHERE number = 3", {3}),
        ("INSERT INTO audit_entry (at, who, role, ip, act, kind, object_id, named, orders, what, before, after, reason,"
         " previous, seal) VALUES (now(), '', '', '', '', '', '', '', '{}', '', '', '', '', '', '')", {0}),
    ],
)  # fmt: skip
def test_whoever_puts_the_rules_aside_is_found_by_the_chain(sql: str, where: set[int], three: list[Entry]) -> None:
    meddle(sql)
    assert {place.number for place in chain.broken()} == where
    with pytest.raises(CommandError, match="does not hold in 1 places"):
        call_command("verify_audit", stdout=io.StringIO(), stderr=io.StringIO())


def test_a_head_kept_elsewhere_shows_that_the_newest_rows_were_cut_off_or_all_of_it_sealed_anew(
    three: list[Entry],
) -> None:
    said = io.StringIO()
    call_command("verify_audit", stdout=said)
    kept = said.getvalue().split()[-1]
    assert kept == str(chain.head())
    write(who="owner", act="changed")
    call_command("verify_audit", kept=kept, stdout=io.StringIO())

    meddle("DELETE FROM audit_entry WHERE number >= 3")
    assert list(chain.broken()) == []
    with pytest.raises(CommandError):
        call_command("verify_audit", kept=kept, stdout=io.StringIO(), stderr=io.StringIO())

    write(who="forger", act="changed")
    assert list(chain.broken()) == []
    with pytest.raises(CommandError):
        call_command("verify_audit", kept=kept, stdout=io.StringIO(), stderr=io.StringIO())


def test_an_act_that_is_not_committed_leaves_no_line_and_no_gap(three: list[Entry]) -> None:
    with transaction.atomic():
        write(who="owner", act="changed")
        transaction.set_rollback(True)
    write(who="owner", act="changed")
    assert list(Entry.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4]


def test_an_act_whose_line_cannot_be_sealed_is_not_done(three: list[Entry]) -> None:
    from django.contrib.auth.models import User

    with connection.cursor() as cursor:
        cursor.execute("ALTER FUNCTION audit_seal() RENAME TO audit_seal_kept")
        cursor.execute(
            "CREATE FUNCTION audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full'; END $$"
        )
        cursor.execute("DROP TRIGGER audit_seal ON audit_entry")
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER audit_seal AFTER INSERT ON audit_entry DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION audit_seal()"
        )

    @transaction.atomic
    def act() -> None:
        User.objects.create(username="made by an act")
        write(who="owner", act="invited")

    try:
        with pytest.raises(DatabaseError, match="full"):
            act()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER audit_seal ON audit_entry")
            cursor.execute("DROP FUNCTION audit_seal()")
            cursor.execute("ALTER FUNCTION audit_seal_kept() RENAME TO audit_seal")
            cursor.execute(
                "CREATE CONSTRAINT TRIGGER audit_seal AFTER INSERT ON audit_entry DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW EXECUTE FUNCTION audit_seal()"
            )
    assert not User.objects.exists()
    assert Entry.objects.count() == 3


def _twenty_at_once(each: int) -> int:
    """Twenty people act at the same moments; how many of their acts could not be committed."""
    together = threading.Barrier(20)

    def act(n: int) -> int:
        failed = 0
        together.wait()
        for turn in range(each):
            try:
                with transaction.atomic():
                    write(who=f"operator{n}", act="changed", what=f"first {turn}")
                    write(who=f"operator{n}", act="changed", what=f"second {turn}")
            except DatabaseError:
                failed += 1
            finally:
                # The pool is smaller than the crowd.
                connections.close_all()
        return failed

    with ThreadPoolExecutor(20) as pool:
        return sum(pool.map(act, range(20)))


def test_twenty_acts_at_once_make_one_chain(transactional_db: None) -> None:
    assert _twenty_at_once(3) == 0
    assert list(Entry.objects.order_by("number").values_list("number", flat=True)) == list(range(1, 121))
    assert list(chain.broken()) == []


def test_control_without_the_lock_twenty_acts_at_once_do_not_make_one_chain(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('audit_seal'::regproc)")
        whole = cursor.fetchone()[0]
        # A moment between the look and the writing, as a busy machine has it.
        cursor.execute(whole.replace("PERFORM pg_advisory_xact_lock(7072686976);", "", 1).replace(
            "SELECT ARRAY[", "PERFORM pg_sleep(0.01); SELECT ARRAY[", 1))  # fmt: skip
    try:
        # The number is unique, so the harm shows as acts that are refused rather than as a torn chain.
        assert _twenty_at_once(1) > 0
    finally:
        with connection.cursor() as cursor:
            cursor.execute(whole)
