-- leave: a socket of an original client has closed; its position waits for the client's return.
-- include: keys positions
-- ARGV   prefix ttl user socket
-- RESULT 1
-- INVARIANT for a while nobody moves the user's position past what the closed socket had taken.
local user, socket = ARGV[3], ARGV[4]
local at = redis.call('HGET', key('positions', user), socket)
if at then
    stand(user, socket, at .. ' ' .. string.format('%.0f', now() + ORPHAN_SECONDS))
end
return 1
