"""The caption worker: a doorbell rings, it takes a figure, has a model describe it, commits that.

It knows the contract and an endpoint that speaks the OpenAI protocol; it never speaks to a gateway
or an OCR worker but through Redis.
"""
