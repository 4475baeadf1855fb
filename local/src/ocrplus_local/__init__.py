"""OcrPlus on one machine: the real services as child processes, and the `ocrplus` command.

It composes the other rooms; no room imports it.
"""
