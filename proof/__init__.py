"""The proof that no order is lost: long runs that try to lose one (``make rehearse``).

Each module here is one proof and has one function ``prove(effort) -> Proof``. What a proof saw is written to
``docs/proof.md`` by ``python -m proof`` itself, with date and commit. ``make test`` runs a cut of each.
"""
