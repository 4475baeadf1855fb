-- reuse: a new job whose pages another job of the same user and content has already.
-- include: keys events jobs
-- ARGV   prefix ttl user task fingerprint source submitted_body fields page_bodies
--        source: the other job's task; page_bodies: JSON array of the page events, in order
-- RESULT {'admitted', 0} | {'duplicate', state} | {'conflict'} | {'missing'} (the other job is gone)
-- INVARIANT the new job ends at once, with the events of one that was read.
local user, task, fingerprint, source = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local known = known_job(user, task, fingerprint)
if known then
    return known
end
local job, other = key('job', user, task), key('job', user, source)
local bodies = cjson.decode(ARGV[9])
if redis.call('HGET', other, 'state') ~= 'ok' or redis.call('HLEN', other .. ':pages') ~= #bodies then
    return {'missing'}
end
open_job(user, task, fingerprint, #bodies, cjson.decode(ARGV[8]), 0)
emit(user, ARGV[7])
redis.call('COPY', other .. ':pages', job .. ':pages', 'REPLACE')
for _, body in ipairs(bodies) do
    emit(user, body)
end
redis.call('HSET', job, 'pages_done', #bodies)
close_job(user, task, 'ok', '')
return {'admitted', 0}
