-- events: append to a user's stream and publish to the gateways. Needs keys.
local EVENTS_KEPT = 10000 -- entries of a user's stream; older ones show as history_lost

-- body: a JSON object in text, without epoch and seq, which are spliced in front.
local function emit(user, body)
    local meta, stream = key('events', user), key('stream:task', user)
    local epoch = redis.call('HGET', meta, 'epoch')
    if not epoch then -- first event, or the position was lost: old entries would carry doubled numbers
        epoch = string.format('%x', math.floor(now() * 1e6))
        redis.call('DEL', stream)
        redis.call('HSET', meta, 'epoch', epoch)
    end
    local seq = redis.call('HINCRBY', meta, 'seq', 1)
    local event = '{"epoch":"' .. epoch .. '","seq":' .. seq .. ',' .. string.sub(body, 2)
    local id = redis.call('XADD', stream, 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', event)
    redis.call('EXPIRE', stream, TTL)
    redis.call('EXPIRE', meta, TTL * 30) -- longer than any event, so that a lost stream shows as a gap
    redis.call('PUBLISH', stream, id .. ' ' .. event)
end
