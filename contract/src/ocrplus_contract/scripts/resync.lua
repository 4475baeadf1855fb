-- resync: count waiting and in-flight pages anew, mend the lag after a restart, and forget arrivals older than the window.
-- include: keys permits waiting
-- ARGV   prefix ttl pool window_seconds
-- RESULT {waiting pages off by, in-flight pages off by}: 0, 0 unless a counter had drifted
-- INVARIANT load:{pool} equals what the ledger holds, and the lag the waiting chunks.
local pool, load = ARGV[3], key('load', ARGV[3])
local was = redis.call('HMGET', load, 'waiting', 'inflight')
redis.call('HSET', load, 'waiting', 0)
redis.call('DEL', key('backlog', pool), key('open-users'))
local inflight, chunks = 0, 0
for _, user in ipairs(redis.call('ZRANGE', key('waiting', pool), 0, -1)) do
    for _, name in ipairs(redis.call('ZRANGE', key('waiting', pool, user), 0, -1)) do
        local task, first, last = parse_chunk(name)
        count_waiting(pool, user, task, last - first + 1)
        chunks = chunks + 1
    end
end
local waiting = tonumber(redis.call('HGET', load, 'waiting'))
for _, member in ipairs(redis.call('ZRANGE', key('open-jobs'), 0, -1)) do
    redis.call('HINCRBY', key('open-users'), string.match(member, '^[^:]+'), 1)
end
for _, raw in ipairs(redis.call('HVALS', key('lease', pool))) do
    inflight = inflight + cjson.decode(raw).left
end
work_stream(pool) -- scalers from outside read an error, not zero, while there is none
mend_lag(pool, chunks)
redis.call('HSET', load, 'inflight', inflight)
local oldest = now() - tonumber(ARGV[4])
for _, field in ipairs(redis.call('HKEYS', load)) do
    local second = string.match(field, '^a:(%d+)$')
    if second and tonumber(second) < oldest then
        redis.call('HDEL', load, field)
    end
end
return {waiting - tonumber(was[1] or 0), inflight - tonumber(was[2] or 0)}
