-- commit_page: write one page's result, tell the user, name the next page in hand.
-- include: keys events permits waiting jobs captions
-- ARGV   prefix ttl pool permit page state record page_body next_page ('' at the chunk's end) figures
--        figures: JSON array of the ids of its figures, which wait for captions if the job wants any
-- RESULT {'committed', figures that wait now: permits of pool caption} | {'double', 0} (was there already)
--        | {'closed', 0} (job has ended) | {'lost', 0} (fenced)
-- INVARIANT a page is written once, and only by the holder of its chunk; the last one ends the job.
local pool, permit, page = ARGV[3], ARGV[4], tonumber(ARGV[5])
local raw = redis.call('HGET', key('lease', pool), permit)
if not raw then
    return {'lost', 0}
end
local lease = cjson.decode(raw)
if page < lease.first or page > lease.last then
    return redis.error_reply('ERR page ' .. page .. ' is not of this chunk')
end
redis.call('XCLAIM', key('work', pool), 'workers', 'worker', 0, permit, 'JUSTID')
if not is_open(lease.user, lease.task, lease.turn) then
    return {'closed', 0}
end
local waits = 0
if redis.call('HEXISTS', key('job', lease.user, lease.task, 'pages'), page) == 0 then
    waits = add_figures(lease.user, lease.task, page, cjson.decode(ARGV[10])) -- the last page looks at them
end
local written = put_page(lease.user, lease.task, ARGV[5], ARGV[6], ARGV[7], ARGV[8])
if written then
    lease.left = lease.left - 1
    redis.call('HINCRBY', key('load', pool), 'inflight', -1)
end
lease.page, lease.since = tonumber(ARGV[9]) or 0, now()
redis.call('HSET', key('lease', pool), permit, cjson.encode(lease))
return {written and 'committed' or 'double', waits}
