"""The planted bugs: each a mistake that a shop has really made, and the tests that must notice it.

An edit names a file, the text that stands in it exactly once, and what stands there instead. Where the house has
several walls (a lock, a guard, a constraint), the sabotage takes down all of them: one alone changes nothing, which
is what walls are for.
"""

from __future__ import annotations

from dataclasses import dataclass

Edit = tuple[str, str, str]


@dataclass(frozen=True)
class Sabotage:
    """One mistake."""

    name: str
    #: The mistake in one sentence.
    what: str
    edits: tuple[Edit, ...]
    #: The tests that stand guard: pytest's node ids or files.
    guards: tuple[str, ...]


def _bug(name: str, what: str, edits: Edit | tuple[Edit, ...], *guards: str) -> Sabotage:
    several = edits if isinstance(edits[0], tuple) else (edits,)
    return Sabotage(name, what, several, guards)  # type: ignore[arg-type]  # one edit or several


_TAKE = "todoku/stock/take.py"
_STOCK_0001 = "todoku/stock/migrations/0001_initial.py"
_PAY = "todoku/payment/steps.py"
_RULES = "todoku/payment/rules.py"
_STRIPE = "todoku/gateways/stripe.py"
_STEP = "todoku/flows/step.py"
_CHECKOUT = "todoku/flows/checkout.py"
_LOOKS = "todoku/flows/looks.py"
_PLACE = "todoku/order/place.py"
_ENGINE = "todoku/engines/embedded.py"
_PLAYS = "todoku/engines/plays.py"
_DOOR = "todoku/webhooks/views.py"
_REFUND = "todoku/refund/steps.py"
_TAKEN = "todoku/webhooks/take.py"
_STEP_FUNCTIONS = "todoku/engines/step_functions.py"

_RACES = "tests/races/test_races.py"
_KEYS = "tests/gateways/test_keys_of_posts.py"
_FLOW = "tests/flows/test_engine.py"
_LEDGER = "tests/flows/test_ledger.py"
_KONBINI = "tests/flows/test_konbini.py"
_HOOKS = "tests/webhooks/test_the_door.py"
_AWS = "tests/aws/test_the_shop_on_aws.py"

PLANTED: tuple[Sabotage, ...] = (
    # The payment ----------------------------------------------------------------------------------------------
    _bug(
        "random_key",
        "The confirmation's key is made anew for every call.",
        (_PAY, 'key=f"{attempt.key}:confirm"', 'key=__import__("uuid").uuid4().hex'),
        _KEYS,
    ),
    _bug(
        "key_of_the_order",
        "The key is made of the order alone, so a second card gets the first one's decline.",
        (_PAY, 'key=f"{attempt.key}:confirm"', 'key=f"{order.uuid}:confirm"'),
        _KEYS,
    ),
    _bug(
        "asked_after_the_call",
        "That Stripe is being asked is not written down before it is asked.",
        (
            _PAY,
            "    Attempt.objects.filter(pk=attempt.pk, asked_at=None).update(outcome=Outcome.ASKED,"
            " asked_at=timezone.now())\n",
            "",
        ),
        _KEYS,
        "tests/flows/test_three_d_secure.py",
    ),
    _bug(
        "never_looks",
        "Every play asks for the money at once instead of looking first.",
        (_PAY, "    if not first:\n", "    if over:\n"),
        _KEYS,
        _FLOW,
        _KONBINI,
    ),
    _bug(
        "blind_after_a_day",
        "A confirmation is posted again under a key that Stripe may have forgotten.",
        (_RULES, "KEY_LIVES = timedelta(hours=23)", "KEY_LIVES = timedelta(days=999)"),
        _KEYS,
    ),
    _bug(
        "unknown_is_declined",
        "A lost answer is told as a decline, and the stock goes back while the charge stands.",
        (
            _STRIPE,
            '        raise _unknown(error)(f"Stripe: {type(error).__name__} {_plain(error)}") from error\n',
            '        raise Refused("api_error", _plain(error)) from error\n',
        ),
        "tests/gateways/test_errors.py",
        _KEYS,
    ),
    _bug(
        "decline_is_retried",
        "A declined card is asked again and again.",
        (
            _STRIPE,
            "        except stripe.CardError as error:\n            found = error.error\n",
            "        except stripe.CardError as error:\n            raise Unavailable('declined') from error\n"
            "            found = error.error\n",
        ),
        "tests/gateways/test_errors.py",
        "tests/flows/test_an_order_arrives.py",
    ),
    _bug(
        "amount_not_compared",
        "Whatever was paid is taken for the order's total.",
        (_RULES, "if not amount == amount_received == due:", "if amount_received <= 0:"),
        _KEYS,
    ),
    _bug(
        "currency_not_compared",
        "5,400 of anything is taken for 5,400 yen.",
        (_RULES, 'if currency != "jpy":', 'if currency == "":'),
        _KEYS,
    ),
    _bug(
        "test_money_is_money",
        "A payment of the other mode is taken for real money.",
        (_RULES, "if livemode != expect_live:", "if livemode is None:"),
        _KEYS,
    ),
    _bug(
        "refused_cancel_is_a_cancel",
        "A cancel that Stripe refused is taken for one that worked, and the stock goes back.",
        (
            _PAY,
            '            raise Unavailable(f"Stripe will not cancel {intent} now: {error.code}") from error\n'
            "        return payment\n",
            '            raise Unavailable(f"Stripe will not cancel {intent} now: {error.code}") from error\n'
            '        return replace(payment, status="canceled")\n',
        ),
        _FLOW,
    ),
    _bug(
        "no_cancel_at_the_deadline",
        "At the deadline the order is given up without a cancel at Stripe.",
        (
            _PAY,
            "        return gateway.cancel(intent, key=",
            '        return replace(gateway.look(intent), status="canceled")\n'
            "        return gateway.cancel(intent, key=",
        ),
        _FLOW,
        _KONBINI,
    ),
    _bug(
        "slept_play_asks",
        "A play that slept asks for a new attempt's money although its goods are not held.",
        (_PAY, "and not _is_held(order, attempt):\n", "and attempt.pk is None:\n"),
        "tests/flows/test_overtaken.py",
    ),
    _bug(
        "slept_play_notes",
        "A play that slept notes a second card's money on the first.",
        (
            _PAY,
            "number = (SELECT attempts FROM order_order WHERE order_order.id = payment_attempt.order_id)\n",
            "number > 0\n",
        ),
        "tests/flows/test_overtaken.py",
    ),
    _bug(
        "voucher_by_our_clock",
        "A konbini voucher is given up by the shop's own clock.",
        (
            _PAY,
            "        if payment.voucher is not None and order.withdrawn_at is None:\n",
            "        if payment.voucher is not None and order.withdrawn_at is None and not over:\n",
        ),
        _KONBINI,
    ),
    _bug(
        "late_money_is_dropped",
        "A canceled order no longer listens when Stripe says that it was paid after all.",
        (_LOOKS, 'return status == Status.CANCELED and knock in ("webhook", "reconciliation")', "return False"),
        _KONBINI,
        "tests/flows/test_paid_after_the_end.py",
    ),
    # The stock ------------------------------------------------------------------------------------------------
    _bug(
        "no_row_lock",
        "Stock is checked and then taken, with no lock, no guard and no constraint.",
        (
            (_TAKE, '" ORDER BY product_id FOR NO KEY UPDATE"', '" ORDER BY product_id"'),
            (_TAKE, "           AND level.on_hand + %(on_hand)s::int * asked.quantity >= 0\n", ""),
            (_STOCK_0001, "models.Q(('on_hand__gte', 0))", "models.Q(('on_hand__gte', -999))"),
        ),
        f"{_RACES}::test_thirty_buyers_get_exactly_what_there_is",
    ),
    _bug(
        "sold_out_is_taken",
        "What has sold out is charged all the same.",
        (
            "todoku/stock/steps.py",
            '    if not short:\n        return {"outcome": "taken"}\n',
            '    if not short or short:\n        return {"outcome": "taken"}\n',
        ),
        _RACES,
        "tests/pages/test_walk.py",
    ),
    _bug(
        "returned_twice",
        "Returned stock is not marked as returned, and is returned again.",
        (
            _TAKE,
            "WHERE %(kind)s::text IN ('returned', 'sold') AND order_id",
            "WHERE %(kind)s::text IN ('sold') AND order_id",
        ),
        "tests/flows/test_an_order_arrives.py",
        _FLOW,
    ),
    _bug(
        "returned_while_payable",
        "The stock goes back although the present attempt may still be paid.",
        (
            _CHECKOUT,
            "    if not order.payment_attempts.filter(number=order.attempts, outcome__in=OVER).exists():\n",
            "    if order.pk is None:\n",
        ),
        _FLOW,
    ),
    _bug(
        "late_order_below_zero",
        "A late payment takes goods that are no longer there.",
        (
            _TAKE,
            "    short = _short(wanted)\n    if not short:\n        _move(order, Kind.SOLD, wanted,",
            "    short: dict[int, int] = {}\n    if not short:\n        _move(order, Kind.SOLD, wanted,",
        ),
        _KONBINI,
        "tests/flows/test_paid_after_the_end.py",
    ),
    _bug(
        "unsorted_locks",
        "Two carts with the same goods in another order lock them crosswise.",
        (_TAKE, '" ORDER BY product_id FOR NO KEY UPDATE"', '" ORDER BY random() FOR NO KEY UPDATE"'),
        f"{_RACES}::test_carts_with_the_same_goods_in_opposite_order_never_deadlock",
    ),
    _bug(
        "stock_overwritten",
        "An operator's correction overwrites what was sold meanwhile.",
        (
            "todoku/console/adjust.py",
            "        if last is not None and last.pk != after:\n            raise Overtaken(last)\n",
            "",
        ),
        "tests/console/test_acting.py",
    ),
    # The ledger and the flow ------------------------------------------------------------------------------------
    _bug(
        "ledger_not_asked",
        "A finished step is done again.",
        (
            _STEP,
            "            _lock(order)\n            done = _look(step, order, number)\n            if done is not None:\n",
            "            _lock(order)\n            done = None\n            if done is not None:\n",
        ),
        _LEDGER,
    ),
    _bug(
        "no_order_lock",
        "Two workers do one step of one order at once.",
        (_STEP, "WHERE id = %s FOR NO KEY UPDATE", "WHERE id = %s"),
        _LEDGER,
    ),
    _bug(
        "failed_step_is_done",
        "A step is written down as done although its effect failed.",
        (
            _STEP,
            "            answer = step.effect(order, gift, *which)\n",
            "            try:\n"
            "                with transaction.atomic():\n"
            "                    answer = step.effect(order, gift, *which)\n"
            "            except Exception:\n"
            '                answer = {"outcome": "done"}\n',
        ),
        _LEDGER,
    ),
    _bug(
        "waiting_is_final",
        "An order that waits for its customer is never looked at again.",
        (_CHECKOUT, 'final=lambda answer: answer["outcome"] == "paid",', "final=lambda answer: True,"),
        _FLOW,
        _KONBINI,
    ),
    _bug(
        "unknown_step_guessed",
        "A step that this version does not know is passed over.",
        (
            _STEP,
            "    if step is None:\n",
            '    if step is None:\n        return {"outcome": "done"}\n    if step is None:\n',
        ),
        _LEDGER,
        _FLOW,
    ),
    _bug(
        "status_goes_back",
        "An order's status may go anywhere.",
        ("todoku/order/rules.py", "    if not may_move(before, after):\n", "    if before == after == '':\n"),
        "tests/order/test_rules.py",
    ),
    _bug(
        "catch_after_payment",
        "A failure after the payment may be caught, and then nobody can resume it.",
        (
            "todoku/flows/definition.py",
            "            if isinstance(state, Task) and state.catch:\n",
            "            if isinstance(state, Task) and not state:\n",
        ),
        "tests/flows/test_definition.py",
    ),
    # The engine -----------------------------------------------------------------------------------------------
    _bug(
        "knock_lost",
        "A knock that comes during a play is forgotten.",
        (
            _PLAYS,
            "                    knocked_at=timezone.now()\n",
            "                    knocked_at=None\n",
        ),
        _FLOW,
    ),
    _bug(
        "no_case",
        "An order that stopped tells nobody.",
        (
            _PLAYS,
            "                bell.ring_later(case.pk, after=bell.RING_AFTER if heals else None)\n",
            "                pass\n",
        ),
        _FLOW,
        "tests/flows/test_mail_refused.py",
    ),
    _bug(
        "twenty_resumes",
        "Every press of Resume starts a play of its own.",
        (
            (
                _PLAYS,
                "            if latest is None or latest.pk != execution.pk or latest.status != State.FAILED:\n",
                "            if latest is None:\n",
            ),
            (
                "todoku/engines/migrations/0002_initial.py",
                "models.Q(('status', 'RUNNING'))",
                "models.Q(('status', 'NOBODY'))",
            ),
        ),
        f"{_FLOW}::test_twenty_operators_at_once_resume_it_once",
        f"{_FLOW}::test_one_order_is_played_once_at_a_time_however_many_knock",
    ),
    _bug(
        "no_poller",
        "Nobody looks at the orders that wait.",
        ("todoku/engines/poller.py", '            engine.play(flow, order, knock="poller")\n', "            pass\n"),
        _FLOW,
    ),
    _bug(
        "lost_job_stays_lost",
        "A play whose job is gone is never played again.",
        (
            _ENGINE,
            "            queue.defer_play(execution, after=None)\n    return len(lost)",
            "            pass\n    return len(lost)",
        ),
        _FLOW,
    ),
    # The press ------------------------------------------------------------------------------------------------
    _bug(
        "old_price_is_taken",
        "What the shopper agreed to is not compared with what it costs now.",
        (_PLACE, "    if now.pk != quote_id:\n", "    if now.pk is None:\n"),
        "tests/pages/test_walk.py",
        "tests/pages/test_bad_input.py",
    ),
    _bug(
        "cart_not_locked",
        "Two presses of one cart do not wait for each other, and no constraint stops the second.",
        (
            (_PLACE, "Cart.objects.select_for_update(no_key=True).filter(pk=cart_id", "Cart.objects.filter(pk=cart_id"),
            (
                "todoku/order/migrations/0002_initial.py",
                "name='one_order_per_cart_version'",
                "condition=models.Q(('id', 0)), name='one_order_per_cart_version'",
            ),
            (
                "todoku/order/migrations/0002_initial.py",
                "models.Q(('status__in', ['placed']))",
                "models.Q(('status__in', ['nobody']))",
            ),
        ),
        f"{_RACES}::test_twenty_presses_at_once_are_one_order_one_attempt_one_charge",
    ),
    _bug(
        "another_shoppers_cart",
        "A press may order another shopper's cart.",
        (_PLACE, "filter(pk=cart_id, shopper=shopper)", "filter(pk=cart_id)"),
        "tests/order",
        "tests/pages/test_bad_input.py",
    ),
    _bug(
        "guessed_link",
        "An order's link opens without its seal.",
        (
            "todoku/order/links.py",
            "    if not hmac.compare_digest(raw[16:], _seal(named)):\n",
            "    if not raw[16:]:\n",
        ),
        "tests/pages/test_bad_input.py",
    ),
    _bug(
        "return_is_believed",
        "The browser's way back says that it was paid, and is believed.",
        (
            "todoku/storefront/orders.py",
            "    if found.status == Status.PLACED:\n        engine.play(",
            "    if found.status == Status.PLACED:\n"
            "        Order.objects.filter(pk=found.pk).update(status=Status.PAID)\n        engine.play(",
        ),
        "tests/pages",
    ),
    _bug(
        "added_goods_lost",
        "What the shopper put into the cart during the payment is gone with it.",
        ("todoku/cart/steps.py", "    if left:\n", "    if left is None:\n"),
        "tests/flows",
        "tests/cart",
    ),
    _bug(
        "cart_closed_at_the_press",
        "The cart is closed before anything is paid.",
        (
            _PLACE,
            "    Attempt.objects.create(\n",
            "    Cart.objects.filter(pk=cart_id).update(closed_at=timezone.now())\n    Attempt.objects.create(\n",
        ),
        "tests/flows/test_an_order_arrives.py",
    ),
    # The door -------------------------------------------------------------------------------------------------
    _bug(
        "acknowledged_before_commit",
        "An event that could not be stored is acknowledged.",
        (_DOOR, "status=503)", "status=200)"),
        _HOOKS,
    ),
    _bug(
        "event_counted_twice",
        "The same event is stored and played as often as it comes.",
        (
            (_TAKEN, "ON CONFLICT (event_id) DO NOTHING", ""),
            ("todoku/webhooks/migrations/0001_initial.py", "max_length=255, unique=True", "max_length=255"),
        ),
        _HOOKS,
    ),
    _bug(
        "event_is_believed",
        "The event's own word makes an order paid.",
        (
            _TAKEN,
            '        engine.play("checkout", order, knock="webhook")\n',
            '        if events[0].type.endswith("payment_intent.succeeded"):\n'
            '            Order.objects.filter(pk=order.pk).update(status="paid")\n'
            '        engine.play("checkout", order, knock="webhook")\n',
        ),
        _HOOKS,
    ),
    _bug(
        "event_of_another_mode",
        "Test events move a live shop.",
        (_TAKEN, "    if event.livemode != settings.STRIPE.livemode:\n", "    if event.livemode is None:\n"),
        _HOOKS,
    ),
    _bug(
        "future_stamp",
        "A signature from the future is good for ever.",
        (_STRIPE, "    if stamp > datetime.now(UTC).timestamp() + MOST_SKEW:\n", "    if stamp < 0:\n"),
        _HOOKS,
    ),
    _bug(
        "unsigned",
        "Anybody may send events.",
        (
            _STRIPE,
            '        raise BadEvent("no secret of ours made this signature, or it is too old")\n',
            "        pass\n",
        ),
        _HOOKS,
    ),
    _bug(
        "one_secret_only",
        "During a rotation the events of the second secret are refused.",
        (
            _STRIPE,
            "    for secret in settings.STRIPE.webhook_secrets:\n",
            "    for secret in settings.STRIPE.webhook_secrets[:1]:\n",
        ),
        _HOOKS,
    ),
    # The mail -------------------------------------------------------------------------------------------------
    _bug(
        "mail_inside_a_transaction",
        "The mail server is talked to with a transaction open.",
        (
            _CHECKOUT,
            'Step("SendMail", outside=send, effect=mark_sent),',
            'Step("SendMail", effect=lambda order, _: mark_sent(order, send(order))),',
        ),
        "tests/flows",
    ),
    _bug(
        "mail_sent_again",
        "A finished step talks to the outside again: the next play sends the mail once more.",
        (
            _STEP,
            "            done = _look(step, order, number)\n            if done is not None:\n                return done\n"
            "            gift",
            "            gift",
        ),
        _LEDGER,
        "tests/flows/test_mail_refused.py",
    ),
    _bug(
        "another_message_id",
        "Every try of a mail is another mail.",
        (
            "todoku/notify/letters.py",
            '        headers={"Message-ID": mail.message_id,',
            '        headers={"Message-ID": f"<{uuid.uuid4().hex}@x>",',
        ),
        "tests/flows",
        "tests/notify",
    ),
    _bug(
        "refused_address_is_retried",
        "An address that is refused for good is tried for ever.",
        (
            "todoku/notify/letters.py",
            "        if codes and all(500 <= code < 600 for code in codes):\n",
            "        if not codes:\n",
        ),
        "tests/flows/test_mail_refused.py",
        "tests/notify",
    ),
    _bug(
        "complete_before_the_mail",
        "An order is complete although nobody was told.",
        (
            _CHECKOUT,
            '        Step("PublishToMyPage", effect=publish_to_my_page),\n',
            '        Step("PublishToMyPage", effect=lambda order, _: (move(order, Status.COMPLETE), publish_to_my_page(order, None))[1]),\n',
        ),
        "tests/flows",
    ),
    # What stands before Stripe -----------------------------------------------------------------------------------
    _bug(
        "breaker_blocks_the_worker",
        "While Stripe is away the breaker also stops what would settle the open orders.",
        (_STRIPE, "            breaker.standing()\n", "            breaker.refuse_if_shut()\n"),
        "tests/gateways/test_breaker.py",
        "tests/gateways/test_outages.py",
    ),
    _bug(
        "no_breaker",
        "Every shopper waits eight seconds for a Stripe that is away.",
        ("todoku/gateways/breaker.py", "    return standing().shut_at is not None\n", "    return False\n"),
        "tests/gateways/test_breaker.py",
    ),
    _bug(
        "no_limit",
        "Nothing keeps the shop under Stripe's rate limits.",
        (
            "todoku/gateways/limiter.py",
            "    if not (settings.STRIPE_PER_SECOND and settings.STRIPE_PER_ENDPOINT):\n",
            "    if settings.STRIPE_PER_SECOND:\n",
        ),
        "tests/gateways/test_limiter.py",
    ),
    _bug(
        "refused_cancel_under_its_old_key",
        "A cancel that was refused at the till is asked again under its key, and the refusal comes back for a day.",
        (_PAY, '    more = f":{attempt.cancels_refused}" if attempt.cancels_refused else ""\n', '    more = ""\n'),
        _KONBINI,
        _KEYS,
    ),
    _bug(
        "kept_failure_waits",
        "A failure that Stripe keeps under the key is asked about again until the deadline.",
        (_STRIPE, "    return _Kept if kept else Unavailable\n", "    return Unavailable\n"),
        _KEYS,
        "tests/gateways/test_unknown_outcomes.py",
    ),
    # The second purchase -----------------------------------------------------------------------------------------
    _bug(
        "second_purchase_unasked",
        "Whoever saw an error and starts again is charged again without a question.",
        (_PLACE, "    if doubts:\n        return InDoubt(doubts)\n", ""),
        "tests/order/test_in_doubt.py",
    ),
    _bug(
        "any_answer_will_do",
        "An answer about one earlier order is taken for an answer about every other.",
        (
            "todoku/order/in_doubt.py",
            "        if not any(hmac.compare_digest(_seal(quote.cart_id, doubt.order.uuid), seal) for seal in known)\n",
            "        if not any(known)\n",
        ),
        "tests/order/test_in_doubt.py",
    ),
    _bug(
        "presses_overlook_each_other",
        "Two new carts of one shopper, pressed at once, do not see each other.",
        (_PLACE, "    in_doubt.alone(cart.pk, shopper)\n", ""),
        "tests/order/test_in_doubt.py",
    ),
    # Konbini -----------------------------------------------------------------------------------------------------
    _bug(
        "cart_stays_in_hand",
        "A shopper who pays at a konbini cannot buy anything else for three days.",
        ("todoku/cart/steps.py", "    cart.set_aside_at = timezone.now()\n", "    cart.set_aside_at = None\n"),
        _KONBINI,
    ),
    _bug(
        "reminded_again_and_again",
        "The reminder is not struck off.",
        (
            "todoku/notify/reminders.py",
            "        if not Voucher.objects.filter(pk=voucher_id, remind_at__lte=now).update(remind_at=None):\n",
            "        if not Voucher.objects.filter(pk=voucher_id, remind_at__lte=now).exists():\n",
        ),
        "tests/notify/test_reminders.py",
    ),
    _bug(
        "reminded_after_paying",
        "Who has paid is reminded to pay.",
        ("todoku/notify/reminders.py", "        if waits:\n", "        if True:\n"),
        "tests/notify/test_reminders.py",
    ),
    _bug(
        "mail_marked_before_it_is_sent",
        "A mail counts as sent before a mail server has it.",
        (
            "todoku/notify/outbox.py",
            "    try:\n        letters.post(mail)\n",
            "    _settle(mail, sent_at=timezone.now())\n    try:\n        letters.post(mail)\n",
        ),
        "tests/notify/test_outbox.py",
    ),
    # What looks after the shop -------------------------------------------------------------------------------------
    _bug(
        "bookmark_before_the_events",
        "The list of missed events counts as read before it is.",
        (
            "todoku/webhooks/catch_up.py",
            "    read = new = knocked = 0\n",
            "    _turn_page(bookmark, now, oldest)\n    read = new = knocked = 0\n",
        ),
        "tests/webhooks/test_catch_up.py",
    ),
    _bug(
        "event_of_another_account",
        "Another account's events move this shop.",
        ("todoku/webhooks/take.py", "    if event.account:\n", "    if event.account is None:\n"),
        "tests/webhooks",
    ),
    _bug(
        "stored_and_forgotten",
        "An event that came before its order is acknowledged and never taken up.",
        ("todoku/webhooks/take.py", "            if cursor.rowcount:\n", "            if cursor.rowcount < 0:\n"),
        "tests/webhooks",
    ),
    _bug(
        "sweep_takes_orders",
        "The sweeper cancels what an order is being paid with.",
        (
            (
                "todoku/reconciliation/sweep.py",
                "        if order is not None and not _is_over(order):\n            return False\n",
                "",
            ),
            (
                "todoku/reconciliation/sweep.py",
                "            Q(order=None, created_at__lt=long_ago, changed_at__lt=long_ago)\n",
                "            Q(created_at__lt=long_ago)\n",
            ),
        ),
        "tests/reconciliation/test_acting.py",
    ),
    _bug(
        "sweep_too_early",
        "A shopper who thinks it over for ten minutes loses the payment form.",
        ("todoku/reconciliation/sweep.py", "    long_ago = now - LEFT_AFTER\n", "    long_ago = now\n"),
        "tests/reconciliation/test_acting.py",
    ),
    _bug(
        "closed_finding_rings_again",
        "What a person has looked at and closed is opened again by the next round.",
        (
            "todoku/notify/bell.py",
            "    if known is None or (known.closed_at is not None and known.closed_by == ITSELF):\n",
            "    if known is None or known.closed_at is not None:\n",
        ),
        "tests/reconciliation/test_acting.py",
    ),
    # Refunds --------------------------------------------------------------------------------------------------
    _bug(
        "refund_key_anew",
        "A refund's key is made anew for every call: two workers at once give the money back twice.",
        (
            _REFUND,
            '    key = f"{refund.key}:{refund.keys_spent}" if refund.keys_spent else str(refund.key)\n',
            '    key = __import__("uuid").uuid4().hex\n',
        ),
        "tests/refund/test_flow.py",
    ),
    _bug(
        "refund_without_a_look",
        "A refund is asked for again without looking whether it is made, and its key may be forgotten.",
        (_REFUND, "        made = _ours(rows, gateway.refunds_of(intent))\n", "        made = {}\n"),
        "tests/refund/test_flow.py",
    ),
    _bug(
        "refund_sent_again",
        "Stripe's library sends a refund again by itself after a failure that may have done it.",
        (_STRIPE, "        if self._call.endpoint == REFUND:\n", "        if False:\n"),
        "tests/refund/test_flow.py",
    ),
    _bug(
        "refund_sum_unchecked",
        "Nobody adds up what has been given back: part and part come to more than was paid.",
        (
            ("todoku/refund/rules.py", "    if whole > left:\n", "    if False:\n"),
            (
                "todoku/refund/migrations/0002_never_more_than_was_paid.py",
                "            IF given + NEW.amount > paid THEN\n",
                "            IF false THEN\n",
            ),
        ),
        "tests/refund/test_asking.py",
    ),
    _bug(
        "refund_by_one_person",
        "Whoever asks for a large refund may approve it too.",
        (
            (
                "todoku/refund/ask.py",
                "        if found.needs_two and found.requested_by_id == by.pk:\n",
                "        if False:\n",
            ),
            (
                "todoku/refund/migrations/0001_refunds.py",
                "models.Q(('needs_two', False), ('approved_by', None), models.Q(('approved_by', models.F('requested_by'"
                ")), _negated=True), _connector='OR')",
                "models.Q(('amount__gte', 0))",
            ),
        ),
        "tests/refund/test_asking.py",
    ),
    _bug(
        "refund_in_slices",
        "The limit for one person looks at each refund alone, so that slices get around it.",
        ("todoku/refund/rules.py", "    return given + amount > limit\n", "    return amount > limit\n"),
        "tests/refund/test_rules.py",
    ),
    _bug(
        "refund_never_fails_late",
        "A refund that has succeeded is never looked at again, and nobody hears when it fails.",
        (_REFUND, "effect=learn, final=lambda _: False)", "effect=learn)"),
        "tests/refund/test_flow.py",
    ),
    _bug(
        "taken_after_the_end",
        "Stock is taken for an order that is over: a play that had slept has seen its deadline first.",
        (
            _CHECKOUT,
            '    if order.status != Status.PLACED:\n        return {"outcome"',
            '    if order.pk is None:\n        return {"outcome"',
        ),
        "tests/flows/test_overtaken.py::test_a_second_attempt_that_a_sleeping_play_has_ended_holds_no_goods_afterwards",
    ),
    # The other engine --------------------------------------------------------------------------------------------
    _bug(
        "end_is_believed",
        "An event's own word ends an execution that has been redriven since, and nobody asks AWS.",
        (
            "todoku/lambdas.py",
            '    settled = step_functions.settle(str(event["detail"]["executionArn"]))\n',
            "    from todoku.engines.models import Execution\n\n"
            '    arn, ended = str(event["detail"]["executionArn"]), str(event["detail"]["status"])\n'
            '    if ended != "SUCCEEDED":\n'
            '        Execution.objects.filter(arn=arn, status="RUNNING").update(status="FAILED")\n'
            "    settled = step_functions.settle(arn)\n",
        ),
        f"{_AWS}::test_an_event_that_comes_after_the_redrive_ends_nothing",
    ),
    _bug(
        "decline_redriven",
        "Resume redrives over an answer that was not final, and nobody looks whether it was paid after all.",
        (
            _STEP_FUNCTIONS,
            "    return before if _leads_to(before) else None\n",
            "    return before\n",
        ),
        f"{_AWS}::test_a_decline_is_looked_at_again_and_its_execution_is_not_redriven",
    ),
    _bug(
        "rounds_send_nothing",
        "A play that AWS did not take at once is never sent again.",
        (_STEP_FUNCTIONS, "        send_due()\n        settle_overdue()\n", "        settle_overdue()\n"),
        f"{_AWS}::test_orders_in_flight_move_from_the_embedded_engine_and_none_is_lost",
    ),
    # The desk -----------------------------------------------------------------------------------------------------
    _bug(
        "act_without_its_line",
        "An act goes on although its line in the audit log cannot be written.",
        (
            "todoku/console/acts.py",
            "from todoku.audit.write import write\n",
            "from todoku.audit import write as audit\n\n\n"
            "def write(**facts):\n"
            "    from django.db import DatabaseError, transaction\n\n"
            "    try:\n"
            "        with transaction.atomic():\n"
            "            audit.write(**facts)\n"
            "    except DatabaseError:\n"
            "        pass\n\n\n",
        ),
        "tests/console/test_acting.py::test_an_act_whose_line_cannot_be_written_is_not_done",
    ),
    _bug(
        "accepted_by_everybody",
        "Who accepts an amount second, on the page of before, accepts it once more.",
        (
            ("todoku/console/stopped.py", "    if latest.status == State.RUNNING:\n", "    if latest.pk is None:\n"),
            (
                "todoku/console/stopped.py",
                "    if latest.status != State.FAILED or latest.pk != case.execution_id:\n",
                "    if latest.pk is None:\n",
            ),
        ),
        "tests/console/test_case_acts.py::test_of_many_who_accept_at_once_one_does",
    ),
    _bug(
        "held_again",
        "A hold that is there already is taken for the same hold, and the goods leave the shelf twice.",
        (_TAKE, "            _MOVE_AGAIN if again else _MOVE,\n", "            _MOVE_AGAIN,\n"),
        f"{_RACES}::test_a_hold_that_is_there_already_is_refused_by_the_database",
    ),
)
