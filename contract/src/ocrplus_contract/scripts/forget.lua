-- forget: delete all that is kept of a job; an open one is cancelled first.
-- include: keys events permits waiting jobs described
-- ARGV   prefix ttl pool user task
-- RESULT 1 | 0 (unknown)
-- INVARIANT nothing of the job stays but its past events, and of its figures what other jobs show too;
--           its name is free again when its files are removed, or after a minute.
local FORGETTING_SECONDS = 60
local pool, user, task = ARGV[3], ARGV[4], ARGV[5]
local job = key('job', user, task)
local content = redis.call('HMGET', job, 'state', 'content')
if not content[1] then
    redis.call('ZREM', key('open-jobs'), user .. ':' .. task)
    return 0
end
if is_open(user, task) then
    withdraw(pool, user, task)
    close_job(user, task, 'cancelled', 'cancelled')
end
withdraw('caption', user, task)
redis.call('ZREM', key('late-captions'), user .. ':' .. task)
if content[2] and content[2] ~= '' then
    local cached = key('content', user, content[2])
    if string.match(redis.call('GET', cached) or '', '%S+$') == task then -- not another's by now
        redis.call('DEL', cached)
    end
end
forget_descriptions(user, task)
redis.call('DEL', job, job .. ':pages', job .. ':captions', key('gone', user, task))
redis.call('ZREM', key('jobs', user), task)
redis.call('SET', key('forgetting', user, task), 1, 'EX', FORGETTING_SECONDS)
return 1
