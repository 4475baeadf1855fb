-- permits: entries of the work stream, one per waiting or taken chunk. Needs keys.
-- Finished ones are trimmed and never deleted: one deletion makes the group's lag NULL for long.
local GROUP, CONSUMER = 'workers', 'worker'

local function add_permits(pool, count)
    local work = key('work', pool)
    if redis.call('EXISTS', work) == 0 then
        redis.call('XGROUP', 'CREATE', work, GROUP, '0', 'MKSTREAM')
    end
    for _ = 1, count do
        redis.call('XADD', work, '*', 'v', '1')
    end
end

-- Up to `count` permits that nobody holds, now pending.
local function claim_permits(pool, count)
    local work, ids = key('work', pool), {}
    if redis.call('EXISTS', work) == 0 then
        return ids
    end
    local got = redis.call('XREADGROUP', 'GROUP', GROUP, CONSUMER, 'COUNT', count, 'STREAMS', work, '>')
    if got then
        for _, entry in ipairs(got[1][2]) do
            ids[#ids + 1] = entry[1]
        end
    end
    return ids
end

local function last_delivered(work)
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', work)) do -- somebody may watch by a group too
        local group = {}
        for i = 1, #info, 2 do
            group[info[i]] = info[i + 1]
        end
        if group['name'] == GROUP then
            return group['last-delivered-id']
        end
    end
end

local function drop_permits(pool, ids)
    local work = key('work', pool)
    for _, id in ipairs(ids) do
        redis.call('XACK', work, GROUP, id)
    end
    local pending = redis.call('XPENDING', work, GROUP)
    local oldest = pending[1] > 0 and pending[2] or last_delivered(work)
    redis.call('XTRIM', work, 'MINID', oldest)
end
