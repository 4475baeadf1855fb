-- spend: may the model be asked about one more figure of a job?
-- include: keys jobs events
-- ARGV   prefix ttl user task day most_job most_user_day (0: no limit)
-- RESULT 'granted' | 'job' | 'user' (that budget is used up) | 'closed' (nobody wants it any more)
-- INVARIANT no more figures are granted than either budget allows.
local user, task, most_job, most_day = ARGV[3], ARGV[4], tonumber(ARGV[6]), tonumber(ARGV[7])
if not is_wanted('caption', user, task) then
    return 'closed'
end
local job, calls = key('job', user, task), key('caption-calls', user, ARGV[5])
if most_job > 0 and tonumber(redis.call('HGET', job, 'captions_asked') or 0) >= most_job then
    return 'job'
elseif most_day > 0 and tonumber(redis.call('GET', calls) or 0) >= most_day then
    return 'user'
end
redis.call('HINCRBY', job, 'captions_asked', 1)
redis.call('INCR', calls)
redis.call('EXPIRE', calls, 172800)
return 'granted'
