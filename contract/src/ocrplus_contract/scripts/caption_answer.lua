-- caption_answer: how a call to the vision-language model went.
-- include: keys
-- ARGV   prefix ttl endpoint call verdict pause_ms failures open_ms
--        verdict: ok | limited (for our pace) | failed | fatal (no call can succeed) | unknown (broken off)
--        pause_ms: patience that was asked for, with either of limited and failed; 0: none
--        failures: so many in a row open the breaker; open_ms: for so long, doubled by each failed try
-- RESULT the breaker's state: closed | open | half_open
-- INVARIANT the slot is free 60 s from now; only an answer closes the breaker.
local endpoint, call, verdict = ARGV[3], ARGV[4], ARGV[5]
local breaker, at = key('caption-breaker'), now()
local MOST_DOUBLED = 20

redis.call('ZADD', key('caption-slots', endpoint), 'XX', at + 60, call)
local fields = redis.call('HMGET', breaker, 'state', 'failures', 'openings', 'call')
local state, failures, openings = fields[1] or 'closed', tonumber(fields[2] or 0), tonumber(fields[3] or 0)
local tries = state == 'half_open' and (not fields[4] or fields[4] == call)

local pause, pause_ms = key('caption-pause', endpoint), tonumber(ARGV[6])
if pause_ms > 0 and pause_ms > redis.call('PTTL', pause) then
    redis.call('SET', pause, 1, 'PX', pause_ms)
end
if verdict == 'ok' or verdict == 'limited' then
    if failures > 0 or state ~= 'closed' then
        redis.call('DEL', breaker)
    end
    return 'closed'
end
if verdict == 'unknown' then
    if tries then -- the next one tries
        redis.call('HSET', breaker, 'until', '0')
    end
    return state
end
if state ~= 'closed' and not tries then -- one that began before it opened
    return state
end
failures = failures + 1
if verdict == 'fatal' or state == 'half_open' or failures >= tonumber(ARGV[7]) then
    local seconds = tonumber(ARGV[8]) / 1000 * math.min(MOST_DOUBLED, 2 ^ openings)
    state, openings = 'open', openings + 1
    redis.call('HSET', breaker, 'until', string.format('%.3f', at + seconds))
end
redis.call('HSET', breaker, 'state', state, 'failures', failures, 'openings', openings)
redis.call('EXPIRE', breaker, TTL)
return state
