"""Cuts of the long proofs, and that the proofs themselves work."""
