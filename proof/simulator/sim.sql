-- The simulator's own room in its database: a clock that it moves, watchers that see every commit, a broom.

CREATE SCHEMA sim;

-- Found before pg_catalog's by the search_path, so that everybody's now() is the world's.
CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT current_setting('sim.now')::timestamptz $$;
CREATE FUNCTION sim.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT current_setting('sim.now')::timestamptz $$;
CREATE FUNCTION sim.transaction_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT current_setting('sim.now')::timestamptz $$;
CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT current_setting('sim.now')::timestamptz $$;
-- A column's default is bound when the table is made.
ALTER TABLE procrastinate_workers ALTER last_heartbeat SET DEFAULT sim.now();
ALTER TABLE procrastinate_events ALTER at SET DEFAULT sim.now();

-- What broke, as the watchers saw it. A transaction that is rolled back takes its row with it.
CREATE TABLE sim.broken (id bigserial PRIMARY KEY, what text NOT NULL);

CREATE FUNCTION sim.watch_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.status, NEW.status) IN (
        ('placed', 'not_paid'), ('placed', 'canceled'), ('placed', 'paid'), ('not_paid', 'placed'),
        ('not_paid', 'canceled'), ('not_paid', 'paid'), ('canceled', 'paid'), ('paid', 'recorded'),
        ('recorded', 'complete')) AND OLD.status <> NEW.status THEN
        INSERT INTO sim.broken (what) VALUES ('I11 order ' || NEW.number || ' went from ' || OLD.status || ' to ' || NEW.status);
    END IF;
    IF (OLD.total, OLD.goods_total, OLD.shipping, OLD.quote_id, OLD.intent_id, OLD.cart_id, OLD.number)
       IS DISTINCT FROM (NEW.total, NEW.goods_total, NEW.shipping, NEW.quote_id, NEW.intent_id, NEW.cart_id, NEW.number) THEN
        INSERT INTO sim.broken (what) VALUES ('I3 order ' || NEW.number || ' had a frozen column changed');
    END IF;
    IF (OLD.paid_at IS NOT NULL AND NEW.paid_at IS DISTINCT FROM OLD.paid_at)
       OR (OLD.recorded_at IS NOT NULL AND NEW.recorded_at IS DISTINCT FROM OLD.recorded_at)
       OR (OLD.completed_at IS NOT NULL AND NEW.completed_at IS DISTINCT FROM OLD.completed_at) THEN
        INSERT INTO sim.broken (what) VALUES ('I11 order ' || NEW.number || ' lost or changed the time of a fact');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch AFTER UPDATE ON order_order FOR EACH ROW EXECUTE FUNCTION sim.watch_order();

-- I4 at every commit that touches the stock.
CREATE FUNCTION sim.watch_stock() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    level stock_level;
    told record;
    held bigint;
BEGIN
    SELECT * INTO level FROM stock_level WHERE product_id = NEW.product_id;
    SELECT COALESCE(sum(on_hand), 0) AS on_hand, COALESCE(sum(reserved), 0) AS reserved, COALESCE(sum(sold), 0) AS sold
      INTO told FROM stock_movement WHERE product_id = NEW.product_id;
    SELECT COALESCE(sum(quantity), 0) INTO held FROM stock_reservation WHERE product_id = NEW.product_id AND state = 'held';
    IF (level.on_hand, level.reserved, level.sold) IS DISTINCT FROM (told.on_hand::int, told.reserved::int, told.sold::int)
       OR level.reserved <> held OR level.on_hand < 0 OR level.reserved < 0 OR level.sold < 0 THEN
        INSERT INTO sim.broken (what) VALUES (format(
            'I4 product %s has %s/%s/%s, its movements say %s/%s/%s, held are %s', NEW.product_id,
            level.on_hand, level.reserved, level.sold, told.on_hand, told.reserved, told.sold, held));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE ON stock_level
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sim.watch_stock();

CREATE FUNCTION sim.watch_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.outcome = 'paid' AND NEW.outcome <> 'paid' THEN
        INSERT INTO sim.broken (what) VALUES (format('I11 attempt %s was paid and is %s', NEW.id, NEW.outcome));
    END IF;
    IF (OLD.key, OLD.confirmation_token) IS DISTINCT FROM (NEW.key, NEW.confirmation_token) THEN
        INSERT INTO sim.broken (what) VALUES (format('I2 attempt %s had its key or its card changed', NEW.id));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch AFTER UPDATE ON payment_attempt FOR EACH ROW EXECUTE FUNCTION sim.watch_attempt();

-- I11: what was written down stays written down.
CREATE FUNCTION sim.watch_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sim.broken (what) VALUES (format('I11 %s of a row of %s', lower(TG_OP), TG_TABLE_NAME));
    RETURN NULL;
END $$;
CREATE TRIGGER watch AFTER UPDATE OR DELETE ON flows_done FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();
CREATE TRIGGER watch AFTER UPDATE OR DELETE ON stock_movement FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();
CREATE TRIGGER watch_rows AFTER DELETE ON order_order FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();
CREATE TRIGGER watch_rows AFTER DELETE ON payment_attempt FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();
CREATE TRIGGER watch AFTER DELETE ON payment_intent FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();
CREATE TRIGGER watch AFTER DELETE ON notify_mail FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();
CREATE TRIGGER watch AFTER DELETE ON notify_case FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();
CREATE TRIGGER watch AFTER DELETE ON webhooks_stripeevent FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();
CREATE TRIGGER watch_text AFTER UPDATE OF message_id, text, kind, order_id ON notify_mail
    FOR EACH STATEMENT EXECUTE FUNCTION sim.watch_history();

-- A planted error that does not go away until somebody mends it (faults.md, O3).
CREATE FUNCTION sim.refuse_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a planted error in %', NEW.step USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON flows_done FOR EACH ROW
    WHEN (position(',' || NEW.step || ',' IN current_setting('sim.refused')) > 0) EXECUTE FUNCTION sim.refuse_step();
