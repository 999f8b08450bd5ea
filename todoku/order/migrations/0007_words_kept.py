"""The words are kept in the row and made anew only when what they are made of changes, not with every move."""

from django.db import migrations

KEEP = """
DROP INDEX order_by_words;
ALTER TABLE order_order ADD COLUMN words tsvector
    GENERATED ALWAYS AS (order_words(number, name, kana, email, phone)) STORED;
CREATE INDEX order_by_words ON order_order USING gin (words);
"""
BACK = """
DROP INDEX order_by_words;
ALTER TABLE order_order DROP COLUMN words;
CREATE INDEX order_by_words ON order_order USING gin (order_words(number, name, kana, email, phone));
"""


class Migration(migrations.Migration):
    """Keep the words; no model names the column, so nobody reads it along with an order."""

    dependencies = [("order", "0006_desk")]

    operations = [migrations.RunSQL(KEEP, BACK)]
