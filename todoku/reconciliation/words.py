"""Each kind of drift in one plain sentence for the operator; the Japanese stands in the catalog."""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

SENTENCES: dict[str, str] = {
    "paid_without_order": _(
        "Stripe has taken money for which there is no order. Find out whose it is, then send goods or refund it."
    ),
    "unknown_intent": _("Stripe has a payment of this shop that the shop's database does not know."),
    "answer_lost": _("Stripe's answer to a new payment was lost; it was left open for a day and has been canceled."),
    "canceled_here_open_there": _("A payment that the shop takes for canceled could still be paid; it is canceled."),
    "missing_at_stripe": _("Stripe does not know an order's payment. Was the shop's key changed to another account?"),
    "paid_not_known": _("Stripe has the money, but the order does not know it. It is played again."),
    "voucher_paid": _("The customer has paid at the convenience store, but the order still waits. It is played again."),
    "canceled_not_known": _("The payment was canceled at Stripe, but the order does not know it. It is played again."),
    "waiting_not_known": _("A payment is under way at Stripe, but the order was given up. It is played again."),
    "complete_not_paid": _("The order counts as paid, but Stripe does not have the money. Do not ship it."),
    "amount_paid_differs": _("The customer has paid another amount than the order says. Compare the two."),
    "paid_after_write_off": _(
        "Money came in for an order that was written off. Give it back, or send the goods as a new order."
    ),
    "amount_received_differs": _("Stripe has received another amount than the payment was made for."),
    "intent_amount_changed": _("The payment at Stripe is over another amount than the order says. Who changed it?"),
    "currency_differs": _("The payment is in another currency than yen."),
    "livemode_differs": _("The payment is in Stripe's other mode: test instead of live, or live instead of test."),
    "charged_twice": _("Two payments went through for the same cart. The customer has probably paid twice."),
    "canceled_but_payable": _("The order is canceled, but its payment could still be made; it is canceled at Stripe."),
    "voucher_open_order_canceled": _(
        "The order is canceled, but its convenience store voucher could still be paid; it is canceled at Stripe."
    ),
    "refunded_whole": _("Somebody has refunded the whole payment at Stripe. Should the order still be shipped?"),
    "refunded_part": _("Somebody has refunded a part of the payment at Stripe. Does the order change?"),
    "refund_waits": _("A refund waits for the customer's bank details. Ask the customer to answer Stripe's mail."),
    "refund_failed": _("A refund has failed: the customer did not get the money. Send it in another way."),
    "refund_not_known": _("A refund stands otherwise at Stripe than the shop knows. It is looked at again."),
    "refund_overdue": _("A refund that was approved does not go on. It is looked at again."),
    "refund_differs": _("A refund at Stripe is not the one that was approved here. Compare the two."),
    "refund_missing": _("Stripe does not list a refund that it had made. Look at the payment at Stripe."),
    "dispute_opened": _("The card's owner disputes the payment. Answer in Stripe's dashboard before the deadline."),
    "dispute_lost": _("A dispute was lost: the money went back to the card's owner."),
    "paid_and_stuck": _("The order is paid, but nothing goes on. It is played again."),
    "failed_without_case": _("The order's last play has failed, and nobody was told. It is played again."),
    "asked_too_long": _("Stripe was asked for the money long ago, and the answer is still not known. It is looked up."),
    "no_next_look": _("The order waits, but nobody would have looked at it again. It is played again."),
    "overdue_look": _("The order's next look is overdue. It is played again."),
    "order_without_play": _("The order was placed, but never played. It is played now."),
    "withdrawn_alive": _("An order that a newer one replaced has not ended. It is played again."),
    "attempt_paid_order_not": _("The payment attempt is paid, but the order is not. It is played again."),
    "event_without_knock": _("An event of Stripe's came, but did not reach its order. It is played again."),
    "play_lost": _("A play has nobody to play it any more. Is a worker running?"),
    "play_too_long": _("A play has been running for hours. Are the workers well?"),
    "ledger_paid_order_not": _("The ledger says that the order is paid, the order says that it is not."),
    "paid_without_ledger": _("The order counts as paid, but its ledger has no payment."),
    "paid_attempt_not_paid": _("The order counts as paid, but none of its payment attempts is."),
    "order_without_attempt": _("The order's present payment attempt is missing."),
    "order_without_stripe_id": _("The order's payment has no id at Stripe."),
    "lines_differ": _("The order's lines do not add up to its goods total."),
    "quote_differs": _("The order's total is not what its quote says."),
    "recorded_without_slip": _("The order is recorded, but has no delivery slip: nothing would be shipped."),
    "slip_without_record": _("There is a delivery slip for an order that is not recorded. Do not ship it yet."),
    "complete_without_my_page": _("The order is complete, but does not stand on the customer's page."),
    "complete_without_mail": _("The order is complete, but its mail was never sent. Write to the customer."),
    "recorded_with_open_cart": _("The order is recorded, but its cart is still open: it could be bought again."),
    "cart_closed_without_order": _("A cart was closed although no order of it was recorded."),
    "held_by_dead_order": _("Goods are held for an order that has ended. Nobody else can buy them."),
    "held_after_sale": _("Goods are still held for an order that is recorded already."),
    "placed_without_hold": _("The order is being paid, but its goods are not held for it."),
    "hold_differs": _("Other goods, or more or fewer, are held than were ordered."),
    "held_twice": _("The same goods are held twice for one order."),
    "sold_differs": _("Other goods, or more or fewer, were booked as sold than were ordered."),
    "sold_without_record": _("Goods were booked as sold for an order that is not recorded."),
    "on_hand_off": _("What is on hand is not what the stock's movements add up to. Count the shelf."),
    "reserved_off": _("What is reserved is not what the stock's movements add up to."),
    "sold_off": _("What is sold is not what the stock's movements add up to."),
    "reserved_not_held": _("What is reserved is not what the orders hold."),
    "sold_less_than_recorded": _("Less was booked as sold than stands in the recorded orders."),
}

#: Said in a case when playing again has not helped.
IN_VAIN = _("Playing the order again has not mended this. Look at the order and at Stripe.")


def sentence(code: str) -> str:
    """Say what a kind of drift means, in the reader's language."""
    known = SENTENCES.get(code)
    return gettext(known) if known else code
