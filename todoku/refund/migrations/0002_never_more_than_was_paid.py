"""The database's last word: refunds never sum to more than was paid, and what was asked for never changes."""

from __future__ import annotations

from django.db import migrations

_GUARD = """
    CREATE FUNCTION refund_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        paid bigint;
        given bigint;
    BEGIN
        IF TG_OP = 'UPDATE' AND (NEW.order_id, NEW.number, NEW.amount, NEW.key, NEW.requested_by_id)
                IS DISTINCT FROM (OLD.order_id, OLD.number, OLD.amount, OLD.key, OLD.requested_by_id) THEN
            RAISE EXCEPTION 'what a refund is over never changes' USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.state IN ('requested', 'approved', 'asked', 'requires_action', 'pending', 'succeeded') THEN
            -- With the order's row locked, two refunds at once see each other.
            SELECT total INTO paid FROM order_order WHERE id = NEW.order_id FOR NO KEY UPDATE;
            -- A person may have accepted other money in its place.
            SELECT COALESCE((SELECT received - refunded FROM payment_acceptedamount
                              WHERE order_id = NEW.order_id AND currency = 'jpy' ORDER BY id DESC LIMIT 1), paid)
              INTO paid;
            SELECT COALESCE(sum(amount), 0) INTO given FROM refund_refund
             WHERE order_id = NEW.order_id AND id <> NEW.id
               AND state IN ('requested', 'approved', 'asked', 'requires_action', 'pending', 'succeeded');
            IF given + NEW.amount > paid THEN
                RAISE EXCEPTION 'refunds of % yen, and % yen were paid', given + NEW.amount, paid
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'never_more_than_was_paid';
            END IF;
        END IF;
        RETURN NEW;
    END $$;

    CREATE TRIGGER refund_guard BEFORE INSERT OR UPDATE OF state, amount, order_id, number, key, requested_by_id
        ON refund_refund FOR EACH ROW EXECUTE FUNCTION refund_guard();
"""


class Migration(migrations.Migration):
    """Add the trigger."""

    dependencies = [("refund", "0001_refunds"), ("payment", "0009_accepted_amounts")]

    operations = [
        migrations.RunSQL(_GUARD, "DROP TRIGGER refund_guard ON refund_refund; DROP FUNCTION refund_guard();")
    ]
