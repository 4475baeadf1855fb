-- take: bind one permit to the next chunk: of the least served user who waits, his first in order.
-- include: keys events permits waiting jobs captions leases
-- ARGV   prefix ttl pool owner
-- RESULT nil | {permit, user, task, first, last, blob, options, deaths of the first page, figure, traceparent, waiting since}
--        figure: of pool caption its record in JSON, else ''; traceparent: the job's trace, '' for a job without
--        waiting since: unix seconds when it began to wait: admitted, its page committed, or brought back
-- INVARIANT a chunk is held under one permit at a time; the lease names its owner and page in hand.
local pool, owner = ARGV[3], ARGV[4]

while true do
    local permit = claim_permits(pool, 1)[1]
    if not permit then
        return nil
    end
    local user = redis.call('ZRANGE', key('waiting', pool), 0, 0)[1]
    local name = user and redis.call('ZPOPMIN', key('waiting', pool, user))[1]
    if not name then -- a permit without work cannot happen; a counter says if it does
        redis.call('HINCRBY', key('load', pool), 'stray', 1)
        drop_permits(pool, {permit})
    else
        local task, first, last = parse_chunk(name)
        local pages = last - first + 1
        charge(pool, user, pages)
        leave_if_done(pool, user)
        count_waiting(pool, user, task, -pages)
        if is_wanted(pool, user, task) then
            local job, at = key('job', user, task), now()
            local facts = redis.call('HMGET', job, 'blob', 'options', deaths_field(pool, first), 'turn', 'traceparent',
                since_field(pool, first), 'created_at')
            redis.call('HINCRBY', key('load', pool), 'inflight', pages)
            redis.call('HSET', key('lease', pool), permit, cjson.encode({
                user = user, task = task, first = first, last = last, owner = owner,
                page = first, since = at, taken = at, left = pages, turn = facts[4]}))
            local figure, since = '', facts[6] or facts[7] or stamp(at)
            if pool == 'caption' then
                figure = redis.call('HGET', job .. ':captions', first) or ''
                since = facts[6] or (figure ~= '' and cjson.decode(figure).since) or since
            else
                redis.call('HSET', job, 'state', 'running')
                if redis.call('HSETNX', job, 'started_at', stamp(at)) == 1 then
                    emit_progress(user, task, 'ocr')
                end
            end
            return {permit, user, task, first, last, facts[1] or '', facts[2] or '{}', facts[3] or '0', figure,
                facts[5] or '', since}
        end
        drop_permits(pool, {permit}) -- its job has ended meanwhile
    end
end
