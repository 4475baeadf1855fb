-- remember: a turn is over: keep what was heard of the picture, if anything, for the user's others.
-- include: keys events permits waiting jobs described
-- ARGV   prefix ttl permit user picture alike description entry
--        description: '' if nothing was heard; entry: the picture's look, for those that differ by noise
-- RESULT 1 (kept) | 0
-- INVARIANT nothing is kept of a job that was deleted, or by who was fenced.
local MOST_ALIKE = 16
local permit, user, picture, alike, description = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local turn = key('describing', user, picture)
if redis.call('GET', turn) == permit then
    redis.call('DEL', turn)
end
local raw = redis.call('HGET', key('lease', 'caption'), permit)
local lease = raw and cjson.decode(raw)
if description == '' or not lease or not is_wanted('caption', user, lease.task, lease.turn) then
    return 0
end
redis.call('SET', key('described', user, picture), description, 'EX', TTL)
use_description(user, lease.task, picture, alike)
local list = key('alike', user, alike)
redis.call('LPUSH', list, ARGV[8])
redis.call('LTRIM', list, 0, MOST_ALIKE - 1)
redis.call('EXPIRE', list, TTL)
return 1
