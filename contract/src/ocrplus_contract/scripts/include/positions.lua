-- positions: how far each socket of an original client's user has taken his events. Needs keys.
-- A field of positions:{user} is a socket, `process.number`: "id joined until"; until 0 while open.
local ORPHAN_SECONDS = 60 -- a closed socket's position waits so long for its client to come back

local function parts(id)
    local ms, n = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(n)
end

local function is_before(a, b)
    local a_ms, a_n = parts(a)
    local b_ms, b_n = parts(b)
    return a_ms < b_ms or (a_ms == b_ms and a_n < b_n)
end

-- The sockets that count, those of dead processes and stale ones removed: {name, id, joined, closed}.
local function sockets_of(user)
    local positions, found = key('positions', user), {}
    local flat = redis.call('HGETALL', positions)
    for i = 1, #flat, 2 do
        local id, joined, closed_until = string.match(flat[i + 1], '^(%S+) (%S+) (%S+)$')
        local closed, stale = closed_until ~= '0', nil
        if closed then
            stale = tonumber(closed_until) < now()
        else
            stale = redis.call('EXISTS', key('gateway', string.match(flat[i], '^[^.]+'))) == 0
        end
        if stale then
            redis.call('HDEL', positions, flat[i])
        else
            found[#found + 1] = {name = flat[i], id = id, joined = tonumber(joined), closed = closed}
        end
    end
    return found
end

local function stand(user, socket, id, joined, closed_until)
    redis.call('HSET', key('positions', user), socket,
        id .. ' ' .. string.format('%.6f', joined) .. ' ' .. string.format('%.0f', closed_until))
    redis.call('EXPIRE', key('positions', user), TTL)
end
