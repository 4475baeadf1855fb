-- renew: the owner of a permit is alive: its lease starts anew.
-- include: keys jobs events
-- ARGV   prefix ttl pool permit
-- RESULT 'held' | 'closed' (the job has ended: stop) | 'lost' (released: stop, commit nothing)
-- INVARIANT a released permit never comes back.
local pool, permit = ARGV[3], ARGV[4]
local raw = redis.call('HGET', key('lease', pool), permit)
if not raw then
    return 'lost'
end
redis.call('XCLAIM', key('work', pool), 'workers', 'worker', 0, permit, 'JUSTID')
local lease = cjson.decode(raw)
return is_wanted(pool, lease.user, lease.task, lease.turn) and 'held' or 'closed'
