-- captions: the figures of a job, numbered from 1, and what became of each. Needs keys, events, permits, waiting, jobs.
-- A record is JSON; while its state is pending the figure waits, or somebody has it in hand.
local function figure_of(user, task, number)
    local raw = redis.call('HGET', key('job', user, task, 'captions'), number)
    return raw and cjson.decode(raw) or nil
end

local function is_pending(user, task, number)
    local figure = figure_of(user, task, number)
    return figure ~= nil and figure.state == 'pending'
end

-- Lets the figures of a page that was just read wait, if the job wants captions: a permit each. How
-- many they are.
local function add_figures(user, task, page, figures)
    local job = key('job', user, task)
    local fields = redis.call('HMGET', job, 'captions', 'turn')
    if #figures == 0 or fields[1] ~= 'on' then
        return 0
    end
    local turn = tonumber(fields[2])
    for _, figure in ipairs(figures) do
        local number = redis.call('HINCRBY', job, 'captions_total', 1)
        redis.call('HSET', job .. ':captions', number,
            cjson.encode({state = 'pending', page = page, figure = figure, since = stamp(now())}))
        local score = number == 1 and turn or turn + 32 + number / 1e4
        put_waiting('caption', user, chunk_name(task, number, number), string.format('%.4f', score))
    end
    redis.call('PEXPIREAT', job .. ':captions', redis.call('PEXPIRETIME', job))
    redis.call('HINCRBY', job, 'captions_open', #figures)
    add_permits('caption', #figures)
    count_waiting('caption', user, task, #figures)
    count_arrival('caption', #figures, #figures)
    return #figures
end

-- Writes what became of a pending figure; the last one of a job whose pages are in ends it.
-- missing: whether a description is owed and will not come.
local function put_caption(user, task, number, state, missing, record, body)
    local job, member = key('job', user, task), user .. ':' .. task
    redis.call('HSET', job .. ':captions', number, record)
    redis.call('HINCRBY', job, 'captions_' .. state, 1)
    if missing then
        redis.call('HINCRBY', job, 'captions_missing', 1)
    end
    local open = redis.call('HINCRBY', job, 'captions_open', -1)
    emit(user, body)
    if open == 0 then
        redis.call('ZREM', key('late-captions'), member)
        if is_open(user, task) and all_pages_in(user, task) then
            close_read(user, task)
        end
    end
end

-- Ends a pending figure that no worker will describe; counted here, for no worker does.
local function fail_caption(user, task, number, reason)
    redis.call('HINCRBY', key('load', 'caption'), 'ended:' .. reason, 1)
    local figure = figure_of(user, task, number)
    figure.state, figure.reason = 'failed', reason
    put_caption(user, task, number, 'failed', true, cjson.encode(figure),
        '{"type":"caption","task_id":"' .. task .. '","page":' .. figure.page .. ',"figure":"'
        .. figure.figure .. '","state":"failed","caption":null,"reason":"' .. reason
        .. '","captioner":null}')
end
