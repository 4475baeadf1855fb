"""Writes events at a steady rate through the ledger's own `emit`: many in one script.

`python producer.py REDIS_URL USERS`; each line on stdin is a rate in events a second.
"""

import os
import select
import sys
import time

import redis

from ocrplus_contract import scripts

_BODY = (
    '{"type":"page","task_id":"task-0001","page":1,"state":"ok","markdown":"'
    + "x" * 80
    + '","figures":[],"source":"text_layer","error":null,"t":'
)
_LOOP = """
for i = 3, #ARGV, 2 do
    emit(ARGV[i], '%s' .. ARGV[i + 1] .. '}')
end
"""
_AT_ONCE = 200


def main(url: str, users: int) -> None:
    """Write until stdin ends."""
    whole = scripts.source("locate")  # brings keys and events with it
    emit = whole[: whole.index("-- locate:")] + _LOOP % _BODY
    client = redis.Redis.from_url(url)
    script = client.register_script(emit)
    rate, count, began = 0.0, 0, time.monotonic()
    while True:
        if select.select([sys.stdin], [], [], 0.002)[0]:
            line = os.read(0, 100)
            if not line:
                return
            rate, count, began = float(line.split()[-1]), 0, time.monotonic()
        due = int((time.monotonic() - began) * rate)
        while count < due:
            arguments: list[str | int] = ["", 3600]
            for number in range(count, min(due, count + _AT_ONCE)):
                arguments += [f"u{number * 7919 % users}", int((began + number / rate) * 1e9)]
            script(args=arguments)
            count = min(due, count + _AT_ONCE)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
