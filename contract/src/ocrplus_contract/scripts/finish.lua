-- finish: the chunk is done (or its job has ended): give the permit back.
-- include: keys events permits waiting jobs captions leases
-- ARGV   prefix ttl pool permit
-- RESULT 'finished' | 'lost' (fenced) | 'unfinished' (pages are missing: release instead)
-- INVARIANT a permit leaves only when none of its pages is owed any more.
local pool, permit = ARGV[3], ARGV[4]
local raw = redis.call('HGET', key('lease', pool), permit)
if not raw then
    return 'lost'
end
local lease = cjson.decode(raw)
if lease.left > 0 and is_wanted(pool, lease.user, lease.task, lease.turn) then
    return 'unfinished'
end
redis.call('HDEL', key('lease', pool), permit)
learn_pace(pool, lease)
-- 0 - x and not -x: Lua's -0 is no integer to Redis
redis.call('HINCRBY', key('load', pool), 'inflight', 0 - lease.left)
drop_permits(pool, {permit})
return 'finished'
