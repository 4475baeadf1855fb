-- confirm: a socket of an original client has taken its events up to a position.
-- include: keys positions
-- ARGV   prefix ttl user socket stream_id epoch
--        epoch: of the events that were taken; another server's ids say nothing here
-- RESULT 1 (the user's position moved) | 0 (another of his sockets holds it, it stood there, or the epoch is over)
-- INVARIANT a confirmed position only moves forward, and never past any open socket's own, nor out of its epoch.
local user, socket, least = ARGV[3], ARGV[4], ARGV[5]
if redis.call('HGET', key('events', user), 'epoch') ~= ARGV[6] then
    return 0
end
local at, joined = least, now()
for _, other in ipairs(sockets_of(user)) do
    if other.name == socket then
        joined = other.joined
    elseif is_before(other.id, least) then
        least = other.id
    end
end
stand(user, socket, at, joined, 0)
local known = redis.call('HGET', key('stream:last_id'), user) or '0-0'
if not is_before(known, least) then
    return 0
end
redis.call('HSET', key('stream:last_id'), user, least)
return 1
