-- turn: whose turn it is to ask about a picture: one at a time, others wait for what it hears.
-- include: keys
-- ARGV   prefix ttl user picture permit verb
--        picture: terms and digest; permit: of the figure in hand; verb: take | leave
-- RESULT 1 (take: it is yours; leave: it was) | 0
-- INVARIANT a turn ends with the lease of who took it, so nobody waits for the dead.
local turn, permit = key('describing', ARGV[3], ARGV[4]), ARGV[5]
local holder = redis.call('GET', turn)
if ARGV[6] == 'leave' then
    return holder == permit and redis.call('DEL', turn) or 0
end
if holder and holder ~= permit and redis.call('HEXISTS', key('lease', 'caption'), holder) == 1 then
    return 0
end
redis.call('SET', turn, permit, 'EX', 3600)
return 1
