-- jobs: the state of one document and the end of it. Needs keys, events.
local GONE_TTLS = 8 -- a job's name is remembered for this many lifetimes of a result
local PROGRESS_STEPS = 20 -- progress events of a job, at most

-- turn: the admission a lease was taken from (nil: any). A task_id that was forgotten may stand for
-- another document by now, to which an old worker must not add its pages.
local function is_open(user, task, turn)
    local fields = redis.call('HMGET', key('job', user, task), 'state', 'turn')
    return (fields[1] == 'queued' or fields[1] == 'running') and (not turn or turn == fields[2])
end

-- What to answer for a task_id that is taken: nil where it is not.
local function known_job(user, task, fingerprint)
    local known = redis.call('HMGET', key('job', user, task), 'fingerprint', 'state')
    if known[1] then
        return known[1] == fingerprint and {'duplicate', known[2]} or {'conflict'}
    end
end

local function json_or_null(text)
    if text and text ~= '' then
        return cjson.encode(text)
    end
    return 'null'
end

-- Counts a user's open jobs; a user without any has no field.
local function count_open(user, by)
    if redis.call('HINCRBY', key('open-users'), user, by) <= 0 then
        redis.call('HDEL', key('open-users'), user)
    end
end

-- Writes the record of a new job; `fields` are its own facts.
local function open_job(user, task, fingerprint, pages, fields, deadline_seconds)
    local job, jobs, at = key('job', user, task), key('jobs', user), now()
    redis.call('HSET', job, 'fingerprint', fingerprint, 'state', 'queued', 'pages_total', pages,
        'pages_done', 0, 'failed_pages', '', 'error', '', 'created_at', stamp(at))
    for name, value in pairs(fields) do
        redis.call('HSET', job, name, value)
    end
    -- An open job outlives its deadline, so that the reconciler can still end it with an event.
    local life = deadline_seconds + TTL
    redis.call('EXPIRE', job, life)
    redis.call('ZREMRANGEBYSCORE', jobs, '-inf', string.format('(%.3f', at - life))
    redis.call('ZADD', jobs, at, task)
    keep(jobs, life)
    redis.call('ZADD', key('open-jobs'), at + deadline_seconds, user .. ':' .. task)
    count_open(user, 1)
    redis.call('DEL', key('gone', user, task))
end

-- How far a job is; what remains is estimated from the pace since its first page was taken.
local function emit_progress(user, task)
    local fields = redis.call('HMGET', key('job', user, task), 'pages_done', 'pages_total', 'started_at')
    local done, total, left = tonumber(fields[1]), tonumber(fields[2]), 'null'
    if done > 0 then
        left = string.format('%.1f', math.max(0, now() - tonumber(fields[3])) / done * (total - done))
    end
    emit(user, '{"type":"progress","task_id":"' .. task .. '","stage":"ocr","pages_done":' .. done
        .. ',"pages_total":' .. total .. ',"estimated_seconds":' .. left .. '}')
end

-- Ends a job exactly once: everybody who may end it checks is_open in the same script.
local function close_job(user, task, state, error_code)
    local job, at = key('job', user, task), now()
    local fields = redis.call('HMGET', job, 'created_at', 'pages_total', 'failed_pages', 'content')
    redis.call('HSET', job, 'state', state, 'error', error_code,
        'finished_at', stamp(at), 'expires_at', string.format('%.0f', at + TTL))
    redis.call('ZREM', key('open-jobs'), user .. ':' .. task)
    count_open(user, -1)
    -- What has expired is told apart from what never was.
    redis.call('SET', key('gone', user, task), 1, 'EX', TTL * GONE_TTLS)
    local engine = redis.call('GET', key('engine'))
    if state == 'ok' and engine and fields[4] and fields[4] ~= '' then
        redis.call('SET', key('content', user, fields[4]), engine .. ' ' .. task, 'EX', TTL)
    end
    redis.call('EXPIRE', job, TTL)
    redis.call('EXPIRE', job .. ':pages', TTL)
    keep(key('jobs', user), TTL)
    emit(user, '{"type":"result","task_id":"' .. task .. '","status":"' .. state
        .. '","captions":"off","pages":' .. fields[2] .. ',"failed_pages":[' .. (fields[3] or '')
        .. '],"error":' .. json_or_null(error_code)
        .. ',"elapsed_seconds":' .. string.format('%.2f', math.max(0, at - tonumber(fields[1])))
        .. ',"url":"/v1/tasks/' .. task .. '/result","expires_at":' .. string.format('%.0f', at + TTL) .. '}')
end

-- Writes a page once; the last page ends the job. False where the page was there already.
local function put_page(user, task, page, state, record, body)
    local job = key('job', user, task)
    if redis.call('HSETNX', job .. ':pages', page, record) == 0 then
        return false
    end
    local done = redis.call('HINCRBY', job, 'pages_done', 1)
    if done == 1 then -- or the pages of a job that nobody ends would stay for ever
        redis.call('PEXPIREAT', job .. ':pages', redis.call('PEXPIRETIME', job))
    end
    if state == 'failed' then
        local failed = redis.call('HGET', job, 'failed_pages')
        redis.call('HSET', job, 'failed_pages', (failed and failed ~= '') and (failed .. ',' .. page) or page)
    end
    emit(user, body)
    local fields = redis.call('HMGET', job, 'pages_total', 'failed_pages')
    if done == tonumber(fields[1]) then
        close_job(user, task, (fields[2] and fields[2] ~= '') and 'partial' or 'ok', '')
    elseif done % math.ceil(tonumber(fields[1]) / PROGRESS_STEPS) == 0 then
        emit_progress(user, task)
    end
    return true
end
