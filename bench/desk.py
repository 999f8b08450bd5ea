"""How long the operator's desk takes in a big shop: ``make bench ARGS=desk``.

Every page is asked for in this process, as the server would be: from the request to the last byte, without the
network. So what is measured is the shop's own Python and what PostgreSQL takes, which are also told apart. The pages
are found in the console itself: a list that is added tomorrow is measured tomorrow.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parent.parent
#: What a page may take at most, of 95 in a hundred times (milliseconds).
LIMIT = 300.0


@dataclass
class Measured:
    """One page, asked for several times: milliseconds in all, of our own CPU, in the database; and its questions."""

    name: str
    link: str
    took: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    database: list[float] = field(default_factory=list)
    queries: int = 0
    size: int = 0
    status: int = 0
    slowest: str = ""

    def p(self, part: int) -> float:
        """The time within which so many of a hundred answers came."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, len(ordered) * part // 100)]


def main(arguments: list[str]) -> int:
    """Build a big shop, or take one that is there; 0 when every page is quick enough, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m bench desk", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="how many orders (100,000)")
    parser.add_argument("--ledger", type=int, default=1_000_000, help="how many ledger rows (1,000,000)")
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for (20)")
    parser.add_argument("--only", default="", help="only pages whose name holds this")
    parser.add_argument("--var", type=Path, help="a folder with a shop that build-big-shop has built")
    parser.add_argument(
        "--out", type=Path, default=HOUSE / "bench" / "latest.desk.md", help="the report (bench/latest.desk.md)"
    )
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="todoku-desk.") as folder:
        os.environ["TODOKU_VAR"] = str(chosen.var or folder)
        for name in ("DATABASE_URL", "TODOKU_ENV", "STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY"):
            os.environ.pop(name, None)
        built = open_shop(chosen.orders, chosen.ledger)
        try:
            measured = [measure(name, link, chosen.times) for name, link in pages() if chosen.only in name]
        finally:
            from django.db import connections

            connections.close_all()
    report = written(measured, built)
    if not chosen.only:
        chosen.out.write_text(report)
    print(report)
    return 1 if any(one.p(95) > LIMIT or one.status != 200 for one in measured) else 0


def open_shop(orders: int, ledger: int) -> dict[str, Any]:
    """Open the shop's database, with its orders in it."""
    from todoku import database

    database.ensure()
    os.environ["DJANGO_SETTINGS_MODULE"] = "todoku.settings"
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from todoku.order.models import Order

    # What the files are called is of no interest here, and nobody has collected them.
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.ALLOWED_HOSTS = ["*"]
    call_command("migrate", verbosity=0, interactive=False)
    if not Order.objects.exists():
        call_command("build_big_shop", orders=orders, ledger=ledger)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM order_order), (SELECT count(*) FROM flows_done), current_setting("
            "'server_version'), pg_size_pretty(pg_database_size(current_database()))"
        )
        names = ("orders", "ledger rows", "PostgreSQL", "database")
        return dict(zip(names, cursor.fetchone(), strict=True))


def pages() -> Iterator[tuple[str, str]]:
    """Every page of the console that is worth measuring: the front, each list in several ways, a row of each kind."""
    from urllib.parse import urlencode

    from django.contrib import admin
    from django.urls import reverse

    yield "front", reverse("admin:index")
    for name, found in searches().items():
        yield f"orders, {name}", f"{reverse('admin:order_order_changelist')}?{urlencode({'q': found})}"
    for model, room in admin.site._registry.items():
        meta = model._meta
        link = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        yield f"{meta.label} list", link
        rows = model._default_manager.count()
        last = max(1, -(-rows // room.list_per_page))
        if last > 2:
            yield f"{meta.label} list, page 40", f"{link}?p={min(40, last)}"
            yield f"{meta.label} list, late page", f"{link}?p={min(last, 1000)}"
        for query in filters(room):
            yield f"{meta.label} list, {urlencode(query)}", f"{link}?{urlencode(query)}"
        for column in room.search_fields[:1]:
            value = model._default_manager.order_by("-pk").values_list(column.lstrip("=^@"), flat=True).first()
            if value:
                yield f"{meta.label} list, search", f"{link}?{urlencode({'q': str(value).split(' ')[0]})}"
        row = model._default_manager.order_by("-pk").first()
        if row is not None:
            yield f"{meta.label} page", reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def searches() -> dict[str, str]:
    """What an operator types to find an order: parts of one in the middle of the two years."""
    from todoku.order.models import Order

    order = Order.objects.select_related("intent").filter(status="complete").order_by("pk")[Order.objects.count() // 3]
    return {
        "by number": order.number, "by the number's end": order.number[-6:], "by name": order.name,
        "by family name": order.name.split()[0], "by kana": order.kana, "by mail": order.email,
        "by part of a mail": order.email.split("@")[0], "by phone": order.phone, "by the phone's end": order.phone[-4:],
        "by PaymentIntent": order.intent.stripe_id or "", "by nothing that there is": "この名前はありません",
    }  # fmt: skip


def filters(room: Any) -> Iterator[dict[str, str]]:
    """One choice of each of a list's filters, and the least common ones of those that are few."""
    from django.contrib.admin import SimpleListFilter
    from django.test import RequestFactory

    request = RequestFactory().get("/")

    for found in room.list_filter:
        if isinstance(found, str):
            column = room.model._meta.get_field(found)
            for value, _name in list(column.choices or [])[:6]:
                yield {f"{found}__exact": str(value)}
        elif isinstance(found, type) and issubclass(found, SimpleListFilter):
            probe = found.__new__(found)
            for value, _name in list(probe.lookups(request, room) or [])[:4]:
                yield {str(found.parameter_name): str(value)}


def measure(name: str, link: str, times: int) -> Measured:
    """Ask for a page, first once to warm it up, and then as often as asked for."""
    browser = owner()
    measured = Measured(name, link)
    with questions() as asked:
        answer = browser.get(link)
    measured.status, measured.queries, measured.size = answer.status_code, len(asked), len(answer.content)
    measured.slowest = max(asked, key=lambda one: one[0], default=(0, ""))[1]
    for _ in range(times):
        with questions() as asked:
            cpu, began = time.process_time(), time.perf_counter()
            browser.get(link)
            measured.took.append((time.perf_counter() - began) * 1000)
            measured.cpu.append((time.process_time() - cpu) * 1000)
        measured.database.append(sum(took for took, _sql in asked))
    print(f"{measured.p(50):7.1f} {measured.p(95):7.1f} ms {measured.queries:3} queries  {name}", flush=True)
    return measured


_browser: list[Any] = []


def owner() -> Any:
    """A browser in which the shop's owner has logged in."""
    from django.contrib.auth.models import User
    from django.test import Client

    if not _browser:
        user, _made = User.objects.get_or_create(
            username="bench", defaults={"is_staff": True, "is_superuser": True, "password": "!"}
        )
        browser = Client()
        browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        _browser.append(browser)
    return _browser[0]


@contextmanager
def questions() -> Iterator[list[tuple[float, str]]]:
    """Note each question to the database, and how long it took (milliseconds)."""
    from django.db import connection

    asked: list[tuple[float, str]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            asked.append(((time.perf_counter() - began) * 1000, sql))

    with connection.execute_wrapper(note):
        yield asked


def written(measured: list[Measured], built: dict[str, Any]) -> str:
    """The report, the slowest page first."""
    about = ", ".join(f"{name} {n:,}" if isinstance(n, int) else f"{name} {n}" for name, n in built.items())
    busy = os.getloadavg()[0]
    slow = [one.name for one in measured if one.p(95) > LIMIT]
    lines = [
        "# The desk in a big shop", "",
        f"{about}; {os.cpu_count()} CPUs, load {busy:.1f}. Milliseconds from request to answer, without the network; "
        f"each page {len(measured[0].took) if measured else 0} times. "
        + (f"Over {LIMIT:.0f} ms: {', '.join(slow)}." if slow else f"Every p95 is under {LIMIT:.0f} ms."), "",
        "| page | p50 | p95 | CPU | database | queries | kB |", "|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for one in sorted(measured, key=lambda one: -one.p(95)):
        lines.append(
            f"| {one.name}{'' if one.status == 200 else f' ({one.status})'} | {one.p(50):.0f} | {one.p(95):.0f} "
            f"| {statistics.median(one.cpu):.0f} | {statistics.median(one.database):.0f} | {one.queries} "
            f"| {one.size / 1024:.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
