"""A shop after two busy years, built in a minute: to see how the console bears 100,000 orders.

Nobody in it is real, and Stripe has never heard of its payments. It adds up all the same: levels and movements,
orders and lines, ledger and attempts agree, as the reconciliation would have it.
"""
