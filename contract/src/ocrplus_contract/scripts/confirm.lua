-- confirm: an original client has taken its events up to a position.
-- include: keys
-- ARGV   prefix ttl user stream_id
-- RESULT 1 (moved) | 0 (stood there or further already)
-- INVARIANT a confirmed position only moves forward.
local function parts(id)
    local ms, n = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(n)
end

local user, id = ARGV[3], ARGV[4]
local known = redis.call('HGET', key('stream:last_id'), user)
if known then
    local known_ms, known_n = parts(known)
    local ms, n = parts(id)
    if ms < known_ms or (ms == known_ms and n <= known_n) then
        return 0
    end
end
redis.call('HSET', key('stream:last_id'), user, id)
return 1
