-- caption_slot: may a call to the vision-language model begin now?
-- include: keys
-- ARGV   prefix ttl endpoint call limit hold_ms probe_ms permit
--        limit: calls a minute (0: none); hold_ms: a slot whose caller died is free after this
--        permit: of the figure in hand
-- RESULT {'go', 0} | {'wait', ms} (all slots are taken) | {'closed', ms} (breaker, asked for patience, or
--        the permit was released)
-- INVARIANT never more than `limit` slots are taken; a slot frees 60 s after its answer. While the
--           breaker is open nobody calls, and after its time one at a time: until it has answered, or its lease
--           has ended, however it ended.
local endpoint, call, limit = ARGV[3], ARGV[4], tonumber(ARGV[5])
local slots, at = key('caption-slots', endpoint), now()

local patience = redis.call('PTTL', key('caption-pause', endpoint))
if patience > 0 then
    return {'closed', patience}
end
local function is_held(by)
    return redis.call('HEXISTS', key('lease', 'caption'), by) == 1
end
if not is_held(ARGV[8]) then
    return {'closed', 0}
end
local breaker = redis.call('HMGET', key('caption-breaker'), 'state', 'until', 'probe')
local tripped, left = breaker[1] and breaker[1] ~= 'closed', 0
if tripped then
    left = math.ceil((tonumber(breaker[2]) - at) * 1000)
    if left > 0 and (breaker[1] == 'open' or is_held(breaker[3] or '')) then
        return {'closed', left}
    end
end
if limit > 0 then
    redis.call('ZREMRANGEBYSCORE', slots, '-inf', at)
    if redis.call('ZCARD', slots) >= limit then
        local first = redis.call('ZRANGE', slots, 0, 0, 'WITHSCORES')[2]
        return {'wait', math.max(1, math.ceil((tonumber(first) - at) * 1000))}
    end
    redis.call('ZADD', slots, at + tonumber(ARGV[6]) / 1000, call)
    redis.call('PEXPIRE', slots, tonumber(ARGV[6]) + 60000)
end
if tripped then -- this one call tries
    redis.call('HSET', key('caption-breaker'), 'state', 'half_open', 'probe', ARGV[8], 'call', call, 'until',
        string.format('%.3f', at + tonumber(ARGV[7]) / 1000))
end
return {'go', 0}
