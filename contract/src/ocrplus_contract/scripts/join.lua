-- join: a socket of an original client begins where its user stands.
-- include: keys positions
-- ARGV   prefix ttl user socket
-- RESULT the user's confirmed position ("0-0": nothing yet)
-- INVARIANT while the socket is open, the confirmed position does not pass what it has taken.
local user, socket = ARGV[3], ARGV[4]
local at = redis.call('HGET', key('stream:last_id'), user) or '0-0'
for _, other in ipairs(sockets_of(user)) do
    if other.closed and not is_before(at, other.id) then -- its client has come back: this one
        redis.call('HDEL', key('positions', user), other.name)
        break
    end
end
stand(user, socket, at, now(), 0)
return at
