"""The two kinds of bad news that are raised.

An outcome a shop expects (sold out, declined) is a returned *value* with a Choice state behind it.
These two are exceptions, and their class names are also the error names in the flow's definition
(Amazon States Language), on every engine.
"""

from __future__ import annotations


class Unavailable(Exception):
    """Something we depend on did not answer; asking again later may help.

    The flow's Retry names it. It never means that nothing happened: after it the next play looks
    before it asks.
    """


class NeedsOperator(Exception):
    """The machine must not go on by itself: a person has to mend something and press Resume.

    ``code`` is a short stable name for the runbook (``amount_mismatch``), ``why`` a plain sentence
    without personal data.
    """

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code
        self.why = why
