-- events: append to a user's stream and publish to the gateways. Needs keys.
local EVENTS_KEPT = 10000 -- entries of a user's stream; older ones show as history_lost
-- The numbering outlives the events, so that a lost stream shows as a gap. It is renewed with the first
-- event of a stream and each KEPT_EVERY-th: those between are at most TTL apart, or their stream is gone.
local META_TTLS, KEPT_EVERY = 30, 16
local COUNTED_EVERY = 64 -- events: trimming by age is part of each XADD, by number it costs a command

-- This server's own name, and a second that it did not see before it began; nil where it may not be asked.
local function this_server()
    local info = redis.pcall('INFO', 'server')
    info = type(info) == 'string' and info or ''
    local name, uptime = string.match(info, 'run_id:(%w+)'), string.match(info, 'uptime_in_seconds:(%d+)')
    if name and uptime then
        return name, math.floor(now()) - tonumber(uptime) - 1
    end
end

local function renew_numbering(user)
    redis.call('EXPIRE', key('events', user), TTL * META_TTLS)
end

-- The epoch of a user's events. A new one begins with the first event, or when the numbering was
-- lost: the old entries would carry doubled numbers.
local function epoch_of(user)
    local meta = key('events', user)
    local epoch = redis.call('HGET', meta, 'epoch')
    if not epoch then
        epoch = string.format('%x', math.floor(now() * 1e6))
        redis.call('DEL', key('stream:task', user))
        redis.call('HSET', meta, 'epoch', epoch, 'seq', 0, 'server', this_server() or '')
        -- The clock may have gone back: whoever stood ahead of it would miss what comes now.
        local at, ms = redis.call('HGET', key('stream:last_id'), user), math.floor(now() * 1000)
        if at and tonumber(string.match(at, '^%d+')) > ms then
            redis.call('HSET', key('stream:last_id'), user, string.format('%.0f-0', ms - 1))
        end
    end
    renew_numbering(user)
    return epoch
end

-- body: a JSON object in text, without epoch and seq, which are spliced in front and returned.
local function emit(user, body)
    local stream, meta = key('stream:task', user), key('events', user)
    local epoch = redis.call('HGET', meta, 'epoch') or epoch_of(user)
    local seq = redis.call('HINCRBY', meta, 'seq', 1)
    local continues = redis.call('EXPIRE', stream, TTL) == 1
    if not continues or seq % KEPT_EVERY == 0 then
        renew_numbering(user)
    end
    local event = '{"epoch":"' .. epoch .. '","seq":' .. seq .. ',' .. string.sub(body, 2)
    local oldest = redis.call('TIME')[1] - TTL
    local id = redis.call('XADD', stream, 'MINID', string.format('%d000', oldest), '*', 'event', event)
    if seq % COUNTED_EVERY == 0 then
        redis.call('XTRIM', stream, 'MAXLEN', '~', EVENTS_KEPT)
    end
    if not continues then
        redis.call('EXPIRE', stream, TTL)
    end
    redis.call('PUBLISH', stream, id .. ' ' .. event)
    return epoch, seq
end
