-- jobs: the state of one document and the end of it. Needs keys, events.
-- turn: the admission a lease was taken from (nil: any). A task_id that was forgotten may stand for
-- another document by now, to which an old worker must not add its pages.
local function is_open(user, task, turn)
    local fields = redis.call('HMGET', key('job', user, task), 'state', 'turn')
    return (fields[1] == 'queued' or fields[1] == 'running') and (not turn or turn == fields[2])
end

local function json_or_null(text)
    if text and text ~= '' then
        return cjson.encode(text)
    end
    return 'null'
end

-- Ends a job exactly once: everybody who may end it checks is_open in the same script.
local function close_job(user, task, state, error_code)
    local job, at = key('job', user, task), now()
    local fields = redis.call('HMGET', job, 'created_at', 'pages_total', 'failed_pages')
    redis.call('HSET', job, 'state', state, 'error', error_code,
        'finished_at', string.format('%.3f', at), 'expires_at', string.format('%.0f', at + TTL))
    redis.call('ZREM', key('open-jobs'), user .. ':' .. task)
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
    end
    return true
end
