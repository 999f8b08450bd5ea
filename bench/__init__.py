"""The bench: how many complete checkouts a second the whole shop carries, how long a shopper waits, what each costs.

``python -m bench`` opens the shop as ``todoku run`` does (web, worker, rehearsal Stripe with its mailbox, embedded
PostgreSQL), sends simulated shoppers through every page over real HTTP, and counts afterwards whether every order
arrived. A run that lost an order, a charge or a crab is a failed run, however fast it was.
"""
