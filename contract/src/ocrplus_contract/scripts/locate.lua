-- locate: where a client's position lies in its user's events.
-- include: keys events
-- ARGV   prefix ttl user epoch seq ('' and '': from now on; '' and a number: of the present epoch)
-- RESULT {reason, epoch, top seq, oldest seq kept (0: none), stream id to read behind}
--        reason: '' | 'epoch' | 'future_position' | 'trimmed'; then the id is that of the top
-- INVARIANT with no reason, every event after the position is in the stream, and the position is of an
--           event that this server has, not of one that its predecessor lost and whose number is used again.
local WALKED_AT_ONCE = 100
local user, epoch, seq = ARGV[3], ARGV[4], tonumber(ARGV[5])
local stream, current = key('stream:task', user), epoch_of(user)

local function seq_of(entry)
    return tonumber(string.match(entry[2][2], '"seq":(%d+)') or 0) -- 0: no event of ours
end

-- The first event from an id on; what somebody else wrote is passed over.
local function first_from(id)
    local entry
    repeat
        entry = redis.call('XRANGE', stream, id, '+', 'COUNT', 1)[1]
        id = entry and '(' .. entry[1]
    until not entry or seq_of(entry) > 0
    return entry
end

-- The largest number in low..high that makes, by `format`, the id of an entry numbered up to `most`,
-- or one before it.
local function bisect(most, low, high, format)
    while low < high do
        local middle = math.ceil((low + high) / 2)
        local entry = first_from(string.format(format, middle))
        if entry and seq_of(entry) <= most then
            low = middle
        else
            high = middle - 1
        end
    end
    return low
end

-- The id of the event `wanted`, nil where it is missing. An epoch's numbers and ids grow together.
local function id_of(wanted, first, last)
    local ms = bisect(wanted, tonumber(string.match(first[1], '^%d+')),
        tonumber(string.match(last[1], '^%d+')), '%.0f-0')
    local newest = redis.call('XREVRANGE', stream, string.format('%.0f', ms), '-', 'COUNT', 1)[1]
    local n = bisect(wanted, 0, tonumber(string.match(newest[1], '%d+$')),
        string.format('%.0f', ms) .. '-%.0f')
    local entry = first_from(string.format('%.0f-%.0f', ms, n))
    return entry and seq_of(entry) == wanted and entry[1] or nil
end

-- Whether the stream holds every event from `wanted`, at `id`, to the top.
local function is_whole(id, wanted, top)
    while wanted <= top do
        local entries = redis.call('XRANGE', stream, id, '+', 'COUNT', WALKED_AT_ONCE)
        for _, entry in ipairs(entries) do
            local seq = seq_of(entry)
            if seq == wanted then
                wanted = wanted + 1
            elseif seq > 0 then
                return false
            end
            id = '(' .. entry[1]
        end
        if #entries == 0 then
            return false
        end
    end
    return true
end

-- Whether another server took this one's place, or it began anew, since the event `seq` was numbered: it
-- may have come back without the last ones, and numbered others alike. Those older than its start it had.
local function may_be_of_another(seq)
    local server, began_at = this_server()
    local wrote = redis.call('HGET', key('events', user), 'server') or ''
    if not server or wrote == '' or wrote == server then
        return false
    end
    if began_at < tonumber(current, 16) / 1e6 then -- it ran beside the other one, as a replica
        return true
    end
    local kept = redis.call('XREVRANGE', stream, string.format('%.0f', began_at * 1000), '-', 'COUNT', 1)[1]
    return not kept or seq > seq_of(kept)
end

local top = tonumber(redis.call('HGET', key('events', user), 'seq'))
if seq and seq > 0 and seq <= top and epoch == current and may_be_of_another(seq) then
    redis.call('DEL', key('events', user))
    current, top = epoch_of(user), 0
end
local first = first_from('-')
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local oldest = first and seq_of(first) or 0
local behind = last and last[1] or '0-0'

local reason = ''
if epoch ~= '' and epoch ~= current then
    reason = 'epoch'
elseif seq and seq > top then
    reason = 'future_position'
elseif seq and seq < top then
    local id = first and oldest <= seq + 1 and id_of(seq + 1, first, last)
    -- Trimming takes from the front only, so the length tells; a stream that something else has
    -- holed is walked.
    local intact = redis.call('XLEN', stream) == top - oldest + 1
    if id and (intact or is_whole(id, seq + 1, top)) then
        behind = '(' .. id
    else
        reason = 'trimmed'
    end
end
return {reason, current, top, oldest, behind}
