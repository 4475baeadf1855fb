-- spend: may the model be asked about the figure that is held under a permit?
-- include: keys events permits waiting jobs captions
-- ARGV   prefix ttl permit day most_job most_user_day (0: no limit)
-- RESULT 'granted' | 'job' | 'user' (that budget is used up) | 'closed' (nobody wants it any more, or
--        the permit was released)
-- INVARIANT no more figures are granted than either budget allows; a figure is charged once, however
--           often it is taken.
local raw, most_job, most_day = redis.call('HGET', key('lease', 'caption'), ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
local lease = raw and cjson.decode(raw)
if not lease or not is_wanted('caption', lease.user, lease.task, lease.turn)
    or not is_pending(lease.user, lease.task, lease.first) then
    return 'closed'
end
local figure = figure_of(lease.user, lease.task, lease.first)
if figure.charged then
    return 'granted'
end
local job, calls = key('job', lease.user, lease.task), key('caption-calls', lease.user, ARGV[4])
if most_job > 0 and tonumber(redis.call('HGET', job, 'captions_asked') or 0) >= most_job then
    return 'job'
elseif most_day > 0 and tonumber(redis.call('GET', calls) or 0) >= most_day then
    return 'user'
end
figure.charged = true
redis.call('HSET', job .. ':captions', lease.first, cjson.encode(figure))
redis.call('HINCRBY', job, 'captions_asked', 1)
redis.call('INCR', calls)
redis.call('EXPIRE', calls, 172800)
return 'granted'
