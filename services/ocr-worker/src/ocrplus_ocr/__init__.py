"""The OCR worker: a doorbell rings, it takes a chunk, reads its pages and commits each one.

It knows the contract and its engine; it never speaks to a gateway but through Redis.
"""
