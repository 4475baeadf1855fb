"""Starts operators without their imports: forks a process that has made them once.

Reads one JSON object a line, {"env", "out", "err"}, and answers with the new process's id. What a
forked operator does is what `python -m ocrplus_operator` does; the imports cost 0.7 s of CPU each.
"""

import json
import os
import signal
import sys

from ocrplus_operator.__main__ import main


def run(order: dict) -> None:  # type: ignore[type-arg]
    """Be an operator until it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, path in ((1, order["out"]), (2, order["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["ocrplus_operator"]
    code = 1
    try:
        code = main()
    finally:
        os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits: the dead vanish
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            run(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
