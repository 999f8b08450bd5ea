"""A whole shop in real processes, with a crowd before it: web, workers, Stripe and a mail server, to be struck at."""

from __future__ import annotations

import os
import random
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection, connections

from proof import invariants
from proof.crowd import Crowd
from rehearsal import mailbox as mailboxes
from tests import shop
from tests.crashes.street import StripeAndMail, Workers
from todoku.engines import engine
from todoku.notify.models import Case, Mail
from todoku.order.models import Order

#: Seconds without a sign of life until another worker takes a dead one's jobs.
DEAD_AFTER = 1.0
PRODUCTS = ("KANI", "UNI", "IKURA")
STOCK = 100_000
#: What is left to do; the queue's own rounds, which come every few minutes, are not among it.
_LEFT = """
    SELECT 'job', id::text FROM procrastinate_jobs
     WHERE status IN ('todo', 'doing') AND task_name = 'todoku.play'
     UNION ALL SELECT 'play', id::text FROM engines_execution WHERE status = 'RUNNING'
     UNION ALL SELECT 'order', number FROM order_order WHERE status IN ('placed', 'paid', 'recorded')
     UNION ALL SELECT 'mail', kind FROM notify_mail WHERE next_try_at IS NOT NULL
     UNION ALL SELECT 'ring', id::text FROM notify_case WHERE ring_at <= now() AND closed_at IS NULL
     UNION ALL SELECT 'ring', id::text FROM ringing_ring WHERE sent_at IS NULL AND dropped_at IS NULL
"""


@dataclass
class Town:
    """The processes of one shop, and who is around it."""

    port: int
    street: StripeAndMail
    workers: Workers
    crowd: Crowd
    lots: random.Random
    #: The workers that are meant to run, and the web server's master.
    working: set[int] = field(default_factory=set)
    web: int = 0
    resumed: int = 0
    sent_again: int = 0
    #: How the shop has answered Stripe's events, for a report.
    events_answered: str = ""

    def staff(self, number: int, *, doomed: float = 0.0) -> None:
        """Have so many workers at work; a share of the new ones is doomed to die at a boundary drawn by lot."""
        while len(self.working) < number:
            dies = self.lots.random() < doomed
            self.working.add(
                self.workers.start(
                    rounds=True,
                    concurrency=8,
                    dead_after=DEAD_AFTER,
                    look_every=2.0,
                    kill_at=self.lots.randrange(4, 200) if dies else None,
                    paper=self.workers.paper() if dies else None,
                )
            )

    def last_words(self) -> str:
        """The end of what the shop's processes have written."""
        return self.workers.log.read_text(errors="replace")[-2000:] if self.workers.log.exists() else "nothing"

    def replace_staff(self, number: int) -> None:
        """Send everybody home the hard way, the doomed too, and have so many healthy workers."""
        self.workers.ended()
        for pid in self.working:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.working.clear()
        self.staff(number)

    def still_working(self) -> int:
        """Count the workers that have never ended."""
        return len(self.working - set(self.workers.ended()))

    def open_web(self) -> None:
        """Open the web server's door."""
        self.web = self.workers.open_web(self.port, processes=2, threads=6)

    def web_children(self) -> list[int]:
        """The web server's processes under its master."""
        with suppress(OSError):
            return [int(pid) for pid in Path(f"/proc/{self.web}/task/{self.web}/children").read_text().split()]
        return []

    def settle(self, seconds: float) -> list[str]:
        """Let everything come to rest, with an operator who resumes what stopped; say what does not."""
        until = time.monotonic() + seconds
        left: list[tuple[str, str]] = []
        while time.monotonic() < until:
            time.sleep(0.4)
            try:
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE scheduled_at > now()")
                    cursor.execute("UPDATE notify_mail SET next_try_at = now() WHERE next_try_at > now()")
                    cursor.execute(_LEFT)
                    left = cursor.fetchall()
                for case in Case.objects.filter(closed_at=None, execution__isnull=False).select_related("execution"):
                    if case.execution is not None and engine.resume(case.execution, who="operator") is not None:
                        self.resumed += 1
            except (DatabaseError, InterfaceError):
                connections.close_all()
                continue
            if not left and self.street.rehearsal.deliveries.next_due() is None:
                return []
        counted = Counter(what for what, _which in left)
        return [f"no rest within {seconds:.0f} s: {dict(counted)}, such as {left[:5]}; {self.last_words()}"]

    def broken(self) -> list[str]:
        """Everything that is not as it must be, now that all is at rest."""
        return [
            *invariants.at_rest(self.street.rehearsal, but=("I12",)),
            *self._letters(),
            *self.crowd.unkind,
            *(f"a case is open: {case}" for case in Case.objects.filter(closed_at=None)),
        ]

    def _letters(self) -> list[str]:
        """Each mail that was sent came, all of its copies under one Message-ID."""
        came = Counter(letter["message_id"] for letter in self.street.mailbox.list(10**6))
        sent = dict(Mail.objects.exclude(sent_at=None).values_list("message_id", "pk"))
        wrong = [f"mail {sent[message_id]} never came" for message_id in sent if not came[message_id]]
        to_shoppers = {
            letter["message_id"]
            for letter in self.street.mailbox.list(10**6)
            if any(to.startswith("shopper-") for to in letter["to"])
        }
        # One that was overtaken by events between the mail server's yes and our note of it is written, as not sent.
        written = set(Mail.objects.values_list("message_id", flat=True))
        wrong += [f"a mail to a shopper that is nowhere written: {one}" for one in to_shoppers - written]
        self.sent_again = sum(came[message_id] - 1 for message_id in sent if came[message_id] > 1)
        return wrong

    def figures(self) -> list[tuple[str, str]]:
        """What a report tells of the town."""
        orders = Counter(Order.objects.values_list("status", flat=True))
        return [
            ("orders", f"{sum(orders.values()):,}: " + ", ".join(f"{n:,} {s}" for s, n in orders.most_common())),
            ("the shop's answers by status", ", ".join(f"{s}: {n:,}" for s, n in sorted(self.crowd.seen.items()))),
            ("mails sent a second time under their one Message-ID", f"{self.sent_again:,}"),
            ("orders that a person had to resume", f"{self.resumed:,}"),
        ]


@contextmanager
def opened(*, seed: int, shoppers: int, staff: int) -> Iterator[Town]:
    """Open a shop on the present database, with workers, web and a crowd."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    shop.furnish()
    for sku in PRODUCTS:
        shop.sell(sku, stock=STOCK)
    connections.close_all()
    mailboxes.MOST_MAILS = 10**6
    os.environ["TODOKU_SITE_URL"] = f"http://127.0.0.1:{port}"
    street = StripeAndMail(webhook=f"http://127.0.0.1:{port}/webhooks/stripe/")
    with tempfile.TemporaryDirectory(prefix="todoku-town-") as folder:
        workers = Workers(street, Path(folder), web=True)
        crowd = Crowd(port, street.rehearsal, PRODUCTS, seed=seed)
        town = Town(port, street, workers, crowd, random.Random(seed))
        try:
            town.open_web()
            town.staff(staff)
            crowd.open(shoppers)
            yield town
        finally:
            crowd.close()
            crowd.go_home()
            workers.close()
            street.close()
            if town.web:
                with suppress(ProcessLookupError):
                    os.kill(town.web, signal.SIGKILL)
