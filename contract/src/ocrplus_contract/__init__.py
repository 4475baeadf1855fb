"""The words that every room shares: messages, keys, states, scripts, settings, metric names.

No I/O happens here but running the Lua scripts (`ledger`) and moving document bytes (`blobs`);
no room may be imported from here.
"""
