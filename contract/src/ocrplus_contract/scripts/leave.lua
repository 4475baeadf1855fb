-- leave: a socket of an original client has closed; its position waits for the client's return,
-- unless a socket that opened later says that it has returned already.
-- include: keys positions
-- ARGV   prefix ttl user socket
-- RESULT 1
-- INVARIANT for a while nobody moves the user's position past what the closed socket had taken.
local user, socket = ARGV[3], ARGV[4]
local sockets, mine, returned = sockets_of(user), nil, false
for _, one in ipairs(sockets) do
    if one.name == socket then
        mine = one
    end
end
for _, one in ipairs(sockets) do
    returned = returned or (mine and not one.closed and one.joined > mine.joined)
end
if returned then
    redis.call('HDEL', key('positions', user), socket)
elseif mine then
    stand(user, socket, mine.id, mine.joined, now() + ORPHAN_SECONDS)
end
return 1
