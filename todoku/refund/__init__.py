"""Refunds: begun by a person in the console, never by the machine. Nothing refunds yet.

The place is kept so that the import contract "refunds" holds from the first line that is written here: only the
console may reach it.
"""
