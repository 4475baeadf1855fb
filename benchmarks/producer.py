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
# The script makes users and moments itself: this process may share a core with Redis and clients.
_LOOP = """
local users, began, step = tonumber(ARGV[5]), ARGV[6] * 1e9, 1e9 / ARGV[7]
for number = ARGV[3], ARGV[4] - 1 do
    local due = string.format('%%d', began + number * step)
    emit('u' .. number * 7919 %% users, '%s' .. due .. '}')
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
            last = min(due, count + _AT_ONCE)
            script(args=["", 3600, count, last, users, began, rate])
            count = last


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
