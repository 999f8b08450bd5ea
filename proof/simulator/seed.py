"""One seed, from an empty shop to rest: draw, let it happen, stop the faults, wait for rest, look at everything."""

from __future__ import annotations

import json
import logging
import traceback
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import connection
from procrastinate.contrib.django import app

from proof import invariants
from proof.simulator import boundaries, lots, sealed
from proof.simulator.operators import Desk
from proof.simulator.people import Shopper
from proof.simulator.town import Town
from proof.simulator.world import Stuck, World
from rehearsal import Clock, Rehearsal, Rough, Webhook
from rehearsal.deliveries import AtOnce
from todoku.flows import checkout
from todoku.gateways import breaker
from todoku.shop import chosen
from todoku.webhooks.wanted import WANTED

#: Boundaries between two looks at the cheap promises.
LOOK_EVERY = 30
#: Longer than this after the last thing that somebody outside did, the shop must not be at work (seconds), beside
#: the time between two looks at a voucher.
REST_WITHIN = 3600.0
#: A seed's world ends at the latest after so much of its own time (seconds).
WORLD_ENDS = 12 * 86400.0


@dataclass
class Outcome:
    """What a seed came to."""

    seed: int
    digest: str
    violations: list[str]
    counts: Counter[str] = field(default_factory=Counter)
    story: list[tuple[float, str, str]] = field(default_factory=list)
    #: How long the shop worked on after the last thing from outside (seconds of the world).
    rest_after: float = 0.0


class Listening(logging.Handler):
    """Keeps what is logged, for the search for secrets."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(self.format(record))


LISTENING = Listening()


def play(seed: int) -> Outcome:
    """Play one seed to its end."""
    world = World(seed, lots.draw(seed, sealed.BEGINNING))
    sealed.start(seed, world)
    LISTENING.lines.clear()
    run = _Run(world)
    try:
        run.live()
        if not world.violations:
            run.judge()
    except Stuck as error:
        world.broke(f"I12 {error}")
    except Exception as error:
        world.note(traceback.format_exc())
        world.broke(f"something broke: {type(error).__name__}: {error}")
    finally:
        world.end()
        sealed.stop()
    run.count()
    return Outcome(seed, world.digest, world.violations, world.counts, world.story, run.rest_after)


class _Run:
    def __init__(self, world: World) -> None:
        self.world, lot = world, world.lot
        boundaries.forget_the_time()
        assert connection.connection is not None
        connection.connection.execute("SELECT sim.sweep()")
        boundaries.tell_the_time()
        boundaries.set_database("sim.refused", f",{lot.refused_step},")
        # Nothing that an earlier world has read is known in this one.
        chosen.forget()
        breaker.forget()
        settings.KONBINI_DAYS = lot.konbini_days
        checkout.LOOK_AT_VOUCHER_EVERY = timedelta(seconds=lot.look_at_voucher_every)
        checkout.LOOK_AGAIN_AFTER = timedelta(seconds=lot.look_again_after)
        skus = _stock(lot)
        webhooks = () if lot.webhooks == "off" else (Webhook("http://shop.test/webhooks/stripe/", events=WANTED),)
        policy = Rough(seed=world.seed, **lot.rough) if lot.webhooks == "rough" else AtOnce()
        world.rehearsal = Rehearsal(
            seed=world.seed, clock=Clock(source=lambda: world.now), webhooks=webhooks, policy=policy,
            sender=lambda url, body, headers: self.town.receive(url, body, headers),
            sign_with_real_time=False, sleep=world.sleep,
        )  # fmt: skip
        world.in_transaction = lambda: connection.in_atomic_block
        world.on_boundary = self._boundary
        self.town = Town(world, skus)
        self.desk = Desk(self.town)
        self.people = [Shopper(self.town, person) for person in lot.people]
        self.rest_after = 0.0
        self._looked_at = 0
        self.calm_at = 0.0
        for one in self.people:
            world.spawn(f"shopper {one.person.number}", one.go)
        self._plan()

    def _plan(self) -> None:
        """What is to happen at a time."""
        world, lot = self.world, self.world.lot
        world.at(sealed.BEGINNING + lot.chaos_for, self.calm)
        for _ in range(lot.edits):
            world.at(
                sealed.BEGINNING + world.chance.uniform(1, 300), lambda: world.spawn("editor", self.desk.edit) and None
            )
        for _ in range(lot.catch_ups):
            self._periodically("catch-ups", "todoku.catch_up")
        for _ in range(lot.reconciliations):
            self._periodically("reconciliations", "todoku.reconcile_window")
        if lot.closes_at:
            world.at(lot.closes_at, lambda: self.town.close(lot.closed_for) if world.chaos else None)
        if lot.key_refused_from:
            world.at(lot.key_refused_from, self._refuse_key)
            world.at(lot.key_refused_until, self.desk.restore_key)

    def _periodically(self, name: str, task: str) -> None:
        """Put one of the queue's periodic jobs into it at some time, as its cron would have done."""
        world = self.world
        spread = world.chance.choice((120.0, 3600.0, 40_000.0))

        def put() -> None:
            if connection.connection is None or task not in app.tasks:
                return
            boundaries.tell_the_time(0.0)
            connection.connection.execute(
                "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(%s, %s, 0, %s, NULL, %s::jsonb, NULL)"
                "::procrastinate_job_to_defer_v1])",
                [app.tasks[task].queue, task, app.tasks[task].lock, json.dumps({"timestamp": int(world.now)})],
            )
            world.counts[name] += 1
            world.jobs += 1
            world.dirty = True
            world.last_outside = world.now

        world.at(sealed.BEGINNING + world.chance.uniform(1, spread), put)

    def _refuse_key(self) -> None:
        if self.world.chaos:
            self.world.counts["Stripe: key refused for a while"] += 1
            self.world.rehearsal.secret_key = "sk_test_another_key"

    def _boundary(self, label: str) -> None:
        """What may happen at any boundary as long as things go wrong."""
        world, lot = self.world, self.world.lot
        actor = world.running
        assert actor is not None
        if lot.stops and actor.process is not None and world.chance.random() < lot.stops:
            seconds = world.chance.choice((8.0, 45.0, 400.0))
            actor.process.asleep_until = world.now + seconds
            world.counts["processes that slept"] += 1
            world.note(f"{actor.process.name} is stopped for {seconds:.0f} s")
            if actor.process.kind == "worker":
                self.town.rescue_later()
        if lot.jumps and world.chance.random() < lot.jumps:
            seconds = world.chance.choice((61.0, 1000.0, 7200.0, 90_000.0))
            world.counts["clock jumps"] += 1
            world.note(f"the clock jumps by {seconds:.0f} s")
            world.now += seconds

    def calm(self) -> None:
        """The faults stop. What is broken stays so until somebody mends it."""
        world = self.world
        if not world.chaos:
            return
        world.chaos = False
        self.calm_at = world.now
        world.note("the faults stop")
        self.desk.restore_key()

    def live(self) -> None:
        """Let everything happen until nothing is left to do."""
        world, town = self.world, self.town
        deliveries = world.rehearsal.deliveries
        while True:
            if world.jobs:
                town.hire()
            if deliveries._due and deliveries._due[0][0] <= world.now:
                town.deliver()
            if world.turn():
                town.tidy()
                if world.look_now or world.passed_so_far - self._looked_at >= LOOK_EVERY:
                    self._look()
                continue
            self._look()
            if not self._jump():
                break
        self.rest_after = max(0.0, town.last_work - max(self.calm_at, world.last_outside, town.closed_until))
        if self.rest_after > REST_WITHIN + world.lot.look_at_voucher_every:
            world.broke(f"I12 rest came {self.rest_after:.0f} s after the last thing from outside")

    def _look(self) -> None:
        if not self.world.unseen:
            return
        self.world.unseen = self.world.look_now = False
        self._looked_at = self.world.passed_so_far
        self.world.counts["checks on the way"] += 1
        for broken in invariants.on_the_way(self.world.rehearsal):
            self.world.broke(broken)

    def _jump(self) -> bool:
        """Let time jump to the next thing that is due; False when there is none."""
        world, town = self.world, self.town
        boundaries.tell_the_time()
        if world.dirty:
            town.ask_dues()
        if town.dues.failures:
            self.desk.plan_visit(town.dues.failures)
        due = [
            when
            for when in (
                world.next_sleeper(), world.rehearsal.next_due(), town.dues.job,
                town.chore_due("look"), town.chore_due("post"), town.chore_due("ring"),
            )
            if when is not None
        ]  # fmt: skip
        if world.chaos and all(one.green.dead for one in world.actors) and not due:
            self.calm()
            return True
        if world.jobs and town.a_worker(with_room=True) is not None:
            return True
        if not due:
            return False
        when = min(due)
        if when - sealed.BEGINNING > WORLD_ENDS:
            world.broke("I12 no rest before the end of the world")
            return False
        if when > world.now:
            world.now = when
            world.note("time passes")
        before = len(world.rehearsal.store.table("timers"))
        world.rehearsal.run_due()
        if len(world.rehearsal.store.table("timers")) < before:
            world.last_outside = world.now
        boundaries.tell_the_time(0.0)
        if town.dues.job is not None and town.dues.job <= world.now:
            world.jobs += 1
            world.dirty = True
        town.do_chores()
        return True

    def judge(self) -> None:
        """Hold everything against the promises, now that nothing is left to do."""
        world = self.world
        world.counts["checks at rest"] += 1
        boundaries.tell_the_time()
        for broken in [*invariants.watched(), *invariants.at_rest(world.rehearsal)]:
            world.broke(broken)
        people = [(one.name, one.email) for one in self.people]
        for broken in invariants.said(LISTENING.lines, self.town.office.accepted, people):
            world.broke(broken)

    def count(self) -> None:
        """Count what there was, for the report."""
        counts, rehearsal = self.world.counts, self.world.rehearsal
        assert connection.connection is not None
        row = connection.connection.execute(
            "SELECT (SELECT count(*) FROM order_order), (SELECT count(*) FROM order_order WHERE status = 'complete'),"
            " (SELECT count(*) FROM order_order WHERE status = 'canceled'),"
            " (SELECT count(*) FROM order_order WHERE status = 'not_paid'), (SELECT count(*) FROM engines_execution),"
            " (SELECT count(*) FROM flows_done), (SELECT count(*) FROM payment_attempt),"
            " (SELECT count(*) FROM payment_voucher), (SELECT count(*) FROM notify_case),"
            " (SELECT count(*) FROM webhooks_stripeevent)"
        ).fetchone()
        assert row is not None
        names = (
            "orders", "orders complete", "orders canceled", "orders not paid", "plays", "steps", "payment attempts",
            "konbini vouchers", "cases", "events stored",
        )  # fmt: skip
        for name, number in zip(names, row, strict=True):
            counts[name] += number
        counts["payments"] += sum(
            1 for intent in rehearsal.store.table("payment_intents").rows.values() if intent["status"] == "succeeded"
        )
        for delivery in rehearsal.store.table("deliveries").rows.values():
            counts["webhooks sent"] += delivery["count"]
            counts["webhooks lost"] += delivery["count"] == 0 and delivery["state"] == "given_up"
        counts["mails"] += len(self.town.office.accepted)
        counts["shoppers"] += len(self.people)
        counts["boundaries"] += self.world.passed_so_far
        counts["virtual seconds"] += int(self.world.now - sealed.BEGINNING)


def _stock(lot: lots.Lot) -> list[str]:
    """Put the seed's goods on the shelf, in two statements."""
    assert connection.connection is not None
    skus = []
    for place, (price, on_hand) in enumerate(lot.products):
        sku = f"SKU{place}"
        skus.append(sku)
        connection.connection.execute(
            "WITH product AS (INSERT INTO catalog_product (sku, name_ja, name_en, description_ja, description_en,"
            " price, tax_class, temperature, parcel_size, picture, on_sale, position, created_at, changed_at)"
            " VALUES (%(sku)s, %(ja)s, %(en)s, '', '', %(price)s, 'reduced', 'chilled', 80, '', true, 0,"
            " sim.now(), sim.now())"
            " RETURNING id), level AS (INSERT INTO stock_level (product_id, on_hand, reserved, sold)"
            " SELECT id, %(on_hand)s, 0, 0 FROM product)"
            " INSERT INTO stock_movement (product_id, kind, on_hand, reserved, sold, who, why, at)"
            " SELECT id, 'counted', %(on_hand)s, 0, 0, 'seed', '', sim.now() FROM product",
            {"sku": sku, "ja": f"品{place}", "en": f"thing {place}", "price": price, "on_hand": on_hand},
        )
    return skus
