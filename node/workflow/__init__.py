"""Durable work: jobs planned in the ledger are measured, whatever dies meanwhile.

``engine`` is imported by who measures alone: the durable engine is large.
"""
