-- settle: a job's wait for captions is over: before its end it ends now, without those that are
-- late; some time after its end those that still wait for a worker are given up.
-- include: keys events permits waiting jobs captions
-- ARGV   prefix ttl user task
-- RESULT 'ended' | 'given_up' | 'unknown'
-- INVARIANT the result goes out once; every figure that is given up ends once, those in hand by their worker.
local user, task, member = ARGV[3], ARGV[4], ARGV[3] .. ':' .. ARGV[4]
if is_open(user, task) and all_pages_in(user, task) then
    close_read(user, task)
    return 'ended'
end
redis.call('ZREM', key('caption-deadlines'), member)
redis.call('ZREM', key('late-captions'), member)
if is_open(user, task) then -- pages are still to come, and its wait with the last of them
    return 'unknown'
end
if not is_wanted('caption', user, task) then
    withdraw('caption', user, task)
    return 'unknown'
end
local _, figures = withdraw('caption', user, task)
for _, number in ipairs(figures) do
    fail_caption(user, task, number, 'caption_unavailable')
end
if tonumber(redis.call('HGET', key('job', user, task), 'captions_open') or 0) > 0 then
    redis.call('ZADD', key('late-captions'), now() + 60, member) -- those in hand may come back
end
return 'given_up'
