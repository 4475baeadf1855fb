-- reuse: a new job whose pages another job of the same user and content has already.
-- include: keys events permits waiting jobs described
-- ARGV   prefix ttl user task fingerprint source submitted_body fields page_bodies caption_bodies begins
--        source: the other job's task; begins: what its record said when the bodies were made; page_bodies, caption_bodies: JSON arrays of the events, in order
-- RESULT {'admitted', 0} | {'duplicate', state} | {'conflict'} | {'missing'} (the other job is gone, or its task_id stands for another)
-- INVARIANT the new job ends at once, with the events of one that was read.
local user, task, fingerprint, source = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local known = known_job(user, task, fingerprint)
if known then
    return known
end
local job, other = key('job', user, task), key('job', user, source)
local bodies, captions = cjson.decode(ARGV[9]), cjson.decode(ARGV[10])
local facts = redis.call('HMGET', other, 'state', 'begins')
if facts[1] ~= 'ok' or (facts[2] or '') ~= ARGV[11] or redis.call('HLEN', other .. ':pages') ~= #bodies then
    return {'missing'}
end
open_job(user, task, fingerprint, #bodies, cjson.decode(ARGV[8]), 0)
emit_first(user, task, ARGV[7])
redis.call('COPY', other .. ':pages', job .. ':pages', 'REPLACE')
for _, body in ipairs(bodies) do
    emit(user, body)
end
if #captions > 0 then
    redis.call('COPY', other .. ':captions', job .. ':captions', 'REPLACE')
    for _, body in ipairs(captions) do
        emit(user, body)
    end
    share_descriptions(user, source, task)
    redis.call('HSET', job, 'captions_total', #captions, 'captioner', redis.call('HGET', other, 'captioner') or '')
end
redis.call('HSET', job, 'pages_done', #bodies)
close_job(user, task, 'ok', '')
return {'admitted', 0}
