"""What an order is found by: the database makes its words, and an index holds them (todoku/order/find.py)."""

from django.db import migrations

# As ``find.SAME`` has them; written out, because a migration does not change with the code.
HIRAGANA = "".join(chr(code) for code in range(ord("ぁ"), ord("ゖ") + 1))
KATAKANA = "".join(chr(code + 0x60) for code in range(ord("ぁ"), ord("ゖ") + 1))
VARIANTS, USUAL = "髙﨑濵邊邉辺齋齊斎嶋嶌槗", "高崎浜辺辺辺斉斉斉島島橋"

MAKE = f"""
CREATE FUNCTION order_words(number text, name text, kana text, email text, phone text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(array_agg(DISTINCT left(word, 24))) FROM (
        -- The name and its reading, and what they end in: whatever part is typed, some word begins with it.
        SELECT substr(said, start) AS word
          FROM (VALUES (name), (kana)) AS given (given),
               LATERAL (SELECT translate(regexp_replace(lower(normalize(given, NFKC)), '\\s', '', 'g'),
                                         '{HIRAGANA}{VARIANTS}', '{KATAKANA}{USUAL}') AS said) AS said,
               generate_series(1, length(said)) AS start
        UNION ALL
        SELECT substr(phone, start) FROM generate_series(1, greatest(length(phone) - 2, 1)) AS start
        UNION ALL
        SELECT part FROM regexp_split_to_table(lower(number), '-') AS part
        UNION ALL
        SELECT replace(lower(number), '-', '')
        UNION ALL
        SELECT substr(replace(lower(number), '-', ''), 2)
        UNION ALL
        SELECT lower(email)
        UNION ALL
        SELECT split_part(lower(email), '@', 2)
        UNION ALL
        SELECT part FROM regexp_split_to_table(split_part(lower(email), '@', 1), '[._+-]') AS part
    ) AS words WHERE word <> ''
$$;
CREATE INDEX order_by_words ON order_order USING gin (order_words(number, name, kana, email, phone));
"""


class Migration(migrations.Migration):
    """Make the words and their index."""

    dependencies = [("order", "0004_who_sees_personal_data")]

    operations = [
        migrations.RunSQL(MAKE, "DROP INDEX order_by_words; DROP FUNCTION order_words(text, text, text, text, text)")
    ]
