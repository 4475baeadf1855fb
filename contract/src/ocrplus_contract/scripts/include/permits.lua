-- permits: entries of the work stream, one per waiting or taken chunk. Needs keys.
-- Finished ones are trimmed and never deleted: one deletion makes the group's lag NULL for long.
local GROUP, CONSUMER = 'workers', 'worker'

-- The stream and its group, made when they are not there; the stream's key.
local function work_stream(pool)
    local work = key('work', pool)
    if redis.call('EXISTS', work) == 0 then
        redis.call('XGROUP', 'CREATE', work, GROUP, '0', 'MKSTREAM')
    end
    return work
end

local function add_permits(pool, count)
    local work = work_stream(pool)
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

local function pairs_of(reply)
    local fields = {}
    for i = 1, #reply, 2 do
        fields[reply[i]] = reply[i + 1]
    end
    return fields
end

local function group_of(work)
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', work)) do -- somebody may watch by a group too
        local group = pairs_of(info)
        if group['name'] == GROUP then
            return group
        end
    end
end

local function drop_permits(pool, ids)
    local work = key('work', pool)
    for _, id in ipairs(ids) do
        redis.call('XACK', work, GROUP, id)
    end
    local pending = redis.call('XPENDING', work, GROUP)
    local oldest = pending[1] > 0 and pending[2] or group_of(work)['last-delivered-id']
    redis.call('XTRIM', work, 'MINID', oldest)
end

-- Redis 7.0 does not log how many entries a group has read: after its log is replayed, the lag is
-- NULL or too high. Valkey is right by itself.
local function mend_lag(pool, expected)
    local work = key('work', pool)
    if redis.call('EXISTS', work) == 0 then
        return
    end
    local group, stream = group_of(work), pairs_of(redis.call('XINFO', 'STREAM', work))
    if group['lag'] ~= expected then
        local last = group['last-delivered-id']
        local unread = stream['length'] - #redis.call('XRANGE', work, '-', last)
        redis.call('XGROUP', 'SETID', work, GROUP, last,
            'ENTRIESREAD', stream['entries-added'] - unread)
    end
end
