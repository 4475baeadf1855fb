-- commit_caption: write what became of one figure, tell the user, give the permit back.
-- include: keys events permits waiting jobs captions
-- ARGV   prefix ttl pool permit state missing captioner record caption_body
--        state: ok | skipped | failed; missing: 1 where a description is owed and will not come
--        captioner: model and prompt that wrote it ('': none)
-- RESULT 'committed' | 'closed' (nobody wants it any more) | 'lost' (fenced)
-- INVARIANT a figure ends once, by the holder of its permit; the last one ends a job whose pages are in.
local pool, permit = ARGV[3], ARGV[4]
local raw = redis.call('HGET', key('lease', pool), permit)
if not raw then
    return 'lost'
end
local lease = cjson.decode(raw)
redis.call('HDEL', key('lease', pool), permit)
redis.call('HINCRBY', key('load', pool), 'inflight', 0 - lease.left)
drop_permits(pool, {permit})
if not is_wanted(pool, lease.user, lease.task, lease.turn)
    or not is_pending(lease.user, lease.task, lease.first) then
    return 'closed'
end
if ARGV[7] ~= '' then
    redis.call('HSET', key('job', lease.user, lease.task), 'captioner', ARGV[7])
end
put_caption(lease.user, lease.task, lease.first, ARGV[5], ARGV[6] == '1', ARGV[8], ARGV[9])
return 'committed'
