-- cancel: end an open job: its waiting chunks go, and as many permits with them (permits are alike).
-- include: keys events permits waiting jobs
-- ARGV   prefix ttl pool user task state error_code
--        state: cancelled (by its user) | failed (given up, or the document cannot be opened)
-- RESULT {'ended', permits removed} | {'closed', state} (had ended before) | {'unknown'}
-- INVARIANT lag falls by exactly the chunks removed; chunks in flight learn it at their next step.
local pool, user, task, state = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local was = redis.call('HGET', key('job', user, task), 'state')
if not was then -- expired while open: nobody will end it any more
    redis.call('ZREM', key('open-jobs'), user .. ':' .. task)
    return {'unknown'}
end
if not is_open(user, task) then
    return {'closed', was}
end
local chunks, removed, pages = key('waiting', pool, user), 0, 0
for _, name in ipairs(redis.call('ZRANGE', chunks, 0, -1)) do
    local owner, first, last = parse_chunk(name)
    if owner == task then
        redis.call('ZREM', chunks, name)
        removed, pages = removed + 1, pages + last - first + 1
    end
end
if removed > 0 then
    leave_if_done(pool, user)
    redis.call('HINCRBY', key('load', pool), 'waiting', -pages)
    drop_permits(pool, claim_permits(pool, removed))
end
close_job(user, task, state, ARGV[7])
return {'ended', removed}
