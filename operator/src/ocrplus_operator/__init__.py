"""The operator: watches WorkerPools, decides how many workers by a pure law, drains before it cuts.

Layers, each importing only those after it: handlers, acting, observing, `control` (pure).
"""
