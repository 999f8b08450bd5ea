"""The database's part: it refuses every change, and numbers and seals a row when its act is committed.

The seal is set by a deferred trigger, so the lock that keeps the rows in one line is held for the commit only and
is the last that an act takes: two acts cannot wait for each other there.
"""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION audit_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Nobody brings a seal along.
  NEW.number := NULL; NEW.previous := ''; NEW.seal := '';
  RETURN NEW;
END $$;

CREATE FUNCTION audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last record;
  facts text[];
BEGIN
  PERFORM pg_advisory_xact_lock(7072686976);
  SELECT number, seal INTO last FROM audit_entry WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1;
  SELECT ARRAY[
    coalesce(last.seal, repeat('0', 64)), (coalesce(last.number, 0) + 1)::text,
    to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), coalesce(user_id::text, ''),
    who, role, ip, act, kind, object_id, named, array_to_string(orders, ','), what, before, after, reason
  ] INTO facts FROM audit_entry WHERE id = NEW.id;
  UPDATE audit_entry SET
    number = facts[2]::bigint, previous = facts[1],
    seal = encode(sha256(convert_to(
      (SELECT string_agg(length(fact) || ':' || fact || ',', '' ORDER BY place)
         FROM unnest(facts) WITH ORDINALITY AS every(fact, place)), 'UTF8')), 'hex')
  WHERE id = NEW.id;
  RETURN NULL;
END $$;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The one change there is: a new row gets its seal.
  IF TG_OP = 'UPDATE' AND pg_trigger_depth() > 1 THEN
    IF OLD.seal = '' AND NEW.seal <> '' AND to_jsonb(NEW) - ARRAY['number', 'previous', 'seal']
         = to_jsonb(OLD) - ARRAY['number', 'previous', 'seal'] THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'The audit log is only ever added to.' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER audit_new BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_new();
CREATE CONSTRAINT TRIGGER audit_seal AFTER INSERT ON audit_entry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_seal();
CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_refuse_all BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
"""

BACKWARDS = """
DROP TRIGGER audit_refuse_all ON audit_entry;
DROP TRIGGER audit_refuse ON audit_entry;
DROP TRIGGER audit_seal ON audit_entry;
DROP TRIGGER audit_new ON audit_entry;
DROP FUNCTION audit_refuse();
DROP FUNCTION audit_seal();
DROP FUNCTION audit_new();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
