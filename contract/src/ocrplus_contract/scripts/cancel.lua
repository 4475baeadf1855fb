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
if state == 'failed' and all_pages_in(user, task) then -- only captions are missing
    close_read(user, task)
    return {'closed', redis.call('HGET', key('job', user, task), 'state')}
end
local removed = withdraw(pool, user, task)
withdraw('caption', user, task)
close_job(user, task, state, ARGV[7])
return {'ended', removed}
