-- read: all that the operator wants to know of a pool, in one round trip and of one instant.
-- ARGV   prefix pool group queue lease_ms
-- RESULT {seconds, lag (false = unknown), pending, first waiting id, expired leases, their pages,
--         load as flat hash, doorbells, drain members, {worker id, its flat hash, …}}
-- INVARIANT writes nothing (run by EVAL_RO).
local prefix, pool, group, queue, lease_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local function key(...)
    return prefix .. table.concat({...}, ':')
end

local work, t = key('work', pool), redis.call('TIME')
local lag, pending, first, expired, pages = 0, 0, '', 0, 0
if redis.call('EXISTS', work) == 1 then
    local found
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', work)) do
        local fields = {}
        for i = 1, #info, 2 do
            fields[info[i]] = info[i + 1]
        end
        if fields['name'] == group then
            found = fields
        end
    end
    if not found then
        return redis.error_reply('NOGROUP no group ' .. group .. ' in ' .. work)
    end
    lag, pending = found['lag'], found['pending']
    local entry = redis.call('XRANGE', work, '(' .. found['last-delivered-id'], '+', 'COUNT', 1)[1]
    first = entry and entry[1] or ''
    local idle = redis.call('XPENDING', work, group, 'IDLE', lease_ms, '-', '+', 1000)
    expired = #idle
    for _, one in ipairs(idle) do
        local lease = redis.call('HGET', key('lease', pool), one[1])
        pages = pages + (lease and cjson.decode(lease).left or 0)
    end
end

local workers = {}
for _, id in ipairs(redis.call('ZRANGE', key('workers', pool), 0, -1)) do
    workers[#workers + 1] = id
    workers[#workers + 1] = redis.call('HGETALL', key('worker', pool, id))
end
return {t[1] .. '.' .. string.format('%06d', t[2]), lag or false, pending, first, expired, pages,
    redis.call('HGETALL', key('load', pool)), redis.call('LLEN', prefix .. queue),
    redis.call('SMEMBERS', key('drain', pool)), workers}
