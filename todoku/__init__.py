"""Todoku is a shop checkout for Stripe in which a paid order always arrives."""

__version__ = "0.1.0"
