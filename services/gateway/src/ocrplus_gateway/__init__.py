"""The gateway: lets documents in, hands results out; never reads a page.

It knows the contract only. PDFs are opened in child processes; its event loop never blocks.
"""
