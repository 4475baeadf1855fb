-- turn: what was said of a picture; or whose turn it is to ask, one at a time.
-- include: keys events permits waiting jobs described
-- ARGV   prefix ttl permit picture alike
--        permit: of the figure in hand; picture: terms and digest; alike: terms and size
-- RESULT {'known', description} | {'mine', entry, …} (pictures described before, to compare this one with)
--        | {'wait'} (another asks) | {'closed'} (nobody wants the figure any more, or the permit was released)
-- INVARIANT a turn ends with the lease of who took it, so nobody waits for the dead.
local permit, picture, alike = ARGV[3], ARGV[4], ARGV[5]
local raw = redis.call('HGET', key('lease', 'caption'), permit)
local lease = raw and cjson.decode(raw)
if not lease or not is_wanted('caption', lease.user, lease.task, lease.turn) then
    return {'closed'}
end
local said = redis.call('GET', key('described', lease.user, picture))
if said then
    use_description(lease.user, lease.task, picture, alike)
    return {'known', said}
end
local turn = key('describing', lease.user, picture)
local holder = redis.call('GET', turn)
if holder and holder ~= permit and redis.call('HEXISTS', key('lease', 'caption'), holder) == 1 then
    return {'wait'}
end
redis.call('SET', turn, permit, 'EX', 3600)
return {'mine', unpack(redis.call('LRANGE', key('alike', lease.user, alike), 0, -1))}
