"""Refunds: asked for by a person in the console, above a limit by two; never begun by the machine.

Only the console reaches this place (import contract "refunds"). The worker plays what a person has asked for:
``ask.py`` writes the row, and the flow finds nothing to do without one.
"""
