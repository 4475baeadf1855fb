"""Observing: the work in Redis and the target in the cluster, as values for the law.

Nothing here writes, and nothing turns a failed reading into a number: it is `Unknown`.
"""
