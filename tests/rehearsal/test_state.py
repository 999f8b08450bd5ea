"""What the rehearsal knows outlives the process; what was half written does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import stripe

from rehearsal import Fault, Rehearsal, Sent, Webhook, standing_still
from rehearsal.http_client import InProcessClient
from tests.rehearsal.conftest import HOOK, Receiver


def opened(state: Path, receiver: Receiver | None = None) -> tuple[Rehearsal, stripe.StripeClient]:
    rehearsal = Rehearsal(
        state=state, clock=standing_still(), webhooks=[Webhook(HOOK)], sender=receiver or Receiver()
    )
    return rehearsal, stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(rehearsal))


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.answers = [Sent(503)] * 3
    rehearsal, client = opened(tmp_path, receiver)
    intent = client.v1.payment_intents.create(
        {"amount": 5400, "currency": "jpy", "description": "毛蟹"}, {"idempotency_key": "k"}
    )
    client.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
    )
    asked = client.v1.payment_intents.create({"amount": 600, "currency": "jpy"})
    client.v1.payment_intents.confirm(
        asked.id, {"payment_method": "pm_card_authenticationRequired", "return_url": "https://shop.test/"}
    )
    rehearsal.deliveries.deliver_due()
    rehearsal.faults.set(Fault("drop_after", times=2))
    rehearsal.advance(7)
    before = rehearsal.store.dump()
    rehearsal.close()

    receiver = Receiver()
    rehearsal, client = opened(tmp_path, receiver)
    assert rehearsal.store.dump() == before
    assert rehearsal.clock.offset == 7
    assert [rule["kind"] for rule in rehearsal.faults.rules()] == ["drop_after"]
    rehearsal.faults.clear()
    again = client.v1.payment_intents.create(
        {"amount": 5400, "currency": "jpy", "description": "毛蟹"}, {"idempotency_key": "k"}
    )
    assert again.id == intent.id
    assert rehearsal.authenticate(asked.id)["status"] == "succeeded"
    rehearsal.deliveries.deliver_due()
    assert receiver.types().count("payment_intent.succeeded") == 2
    assert [i.id for i in client.v1.payment_intents.list().data] == [asked.id, intent.id]
    rehearsal.close()


def test_a_process_that_was_killed_loses_nothing_it_answered(tmp_path: Path) -> None:
    rehearsal, client = opened(tmp_path)
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    # Not closed: what a killed process leaves behind is the file as it is now, and perhaps half a line.
    left = tmp_path / "left"
    left.mkdir()
    half = b'[["payment_intents","pi_half",{"id":"pi_ha'
    (left / "journal.jsonl").write_bytes((tmp_path / "journal.jsonl").read_bytes() + half)
    other, client = opened(left)
    assert client.v1.payment_intents.retrieve(intent.id).amount == 5400
    assert other.find("payment_intents", "pi_half") is None
    other.close()
    rehearsal.close()


def test_two_at_once_on_one_state_are_refused(tmp_path: Path) -> None:
    rehearsal, _ = opened(tmp_path)
    with pytest.raises(ValueError, match="another rehearsal"):
        opened(tmp_path)
    rehearsal.close()
    opened(tmp_path)[0].close()


def test_the_journal_is_written_small_at_each_start(tmp_path: Path) -> None:
    rehearsal, client = opened(tmp_path)
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    for number in range(50):
        client.v1.payment_intents.update(intent.id, {"metadata": {"n": str(number)}})
    rehearsal.store.clear(frozenset({"payment_intents"}))
    rehearsal.close()
    size = (tmp_path / "journal.jsonl").stat().st_size
    assert size < 10_000
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)[0][0] for line in lines] == ["payment_intents"]
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o077 == 0


def test_a_reset_forgets_everything_but_the_settings(tmp_path: Path) -> None:
    rehearsal, client = opened(tmp_path)
    client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    rehearsal.advance(60)
    rehearsal.reset()
    assert client.v1.payment_intents.list().data == []
    assert client.v1.events.list().data == []
    assert rehearsal.clock.offset == 0
    assert [e.url for e in client.v1.webhook_endpoints.list().data] == [HOOK]
    rehearsal.close()


def test_with_a_seed_two_runs_are_the_same() -> None:
    def run() -> str:
        rehearsal = Rehearsal(clock=standing_still(), seed=1)
        client = stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(rehearsal))
        for card in ("pm_card_visa", "pm_card_jcb"):
            made = client.v1.payment_intents.create(
                {"amount": 5400, "currency": "jpy"}, {"idempotency_key": card}
            )
            client.v1.payment_intents.confirm(
                made.id,
                {"payment_method": card, "return_url": "https://shop.test/"},
                {"idempotency_key": made.id},
            )
        return json.dumps(rehearsal.store.dump())

    assert run() == run()
