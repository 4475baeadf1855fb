-- jobs: the state of one document and the end of it. Needs keys, events.
local GONE_TTLS = 8 -- a job's name is remembered for this many lifetimes of a result
local PROGRESS_STEPS = 20 -- progress events of a job, at most

-- turn: the admission a lease was taken from (nil: any). A task_id that was forgotten may stand for
-- another document by now, to which an old worker must not add its pages.
local function is_open(user, task, turn)
    local fields = redis.call('HMGET', key('job', user, task), 'state', 'turn')
    return (fields[1] == 'queued' or fields[1] == 'running') and (not turn or turn == fields[2])
end

-- Whether a pool's work is still wanted: pages while the job is open, captions also of one that has
-- ended well, as long as it is kept.
local function is_wanted(pool, user, task, turn)
    local fields = redis.call('HMGET', key('job', user, task), 'state', 'turn')
    local late = pool == 'caption' and (fields[1] == 'ok' or fields[1] == 'partial')
    return is_open(user, task, turn) or (late and (not turn or turn == fields[2]))
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

-- The job's first event. Its place tells this use of a task_id from those before, whose events stay.
local function emit_first(user, task, body)
    renew_numbering(user) -- by today's TTL, which may be longer than that of the events before
    local epoch, seq = emit(user, body)
    redis.call('HSET', key('job', user, task), 'begins', epoch .. '-' .. seq)
end

-- How far a job is; what remains is estimated from the pace since its first page was taken.
local function emit_progress(user, task, stage)
    local fields = redis.call('HMGET', key('job', user, task), 'pages_done', 'pages_total', 'started_at')
    local done, total, left = tonumber(fields[1]), tonumber(fields[2]), 'null'
    if done > 0 then
        left = string.format('%.1f', math.max(0, now() - tonumber(fields[3])) / done * (total - done))
    end
    emit(user, '{"type":"progress","task_id":"' .. task .. '","stage":"' .. stage .. '","pages_done":' .. done
        .. ',"pages_total":' .. total .. ',"estimated_seconds":' .. left .. '}')
end

-- What a result says of its captions, and who wrote them.
local function captions_of(user, task)
    local fields = redis.call('HMGET', key('job', user, task),
        'captions', 'captions_open', 'captions_missing', 'captioner')
    if fields[1] ~= 'on' then
        return 'off', 0, nil
    end
    local open = tonumber(fields[2] or 0)
    local whole = open == 0 and tonumber(fields[3] or 0) == 0
    return whole and 'complete' or 'partial', open, fields[4]
end

-- Ends a job exactly once: everybody who may end it checks is_open in the same script.
local function close_job(user, task, state, error_code)
    local job, at = key('job', user, task), now()
    local fields = redis.call('HMGET', job, 'created_at', 'pages_total', 'failed_pages', 'content', 'late_seconds')
    local captions, captions_open, captioner = captions_of(user, task)
    redis.call('HSET', job, 'state', state, 'error', error_code,
        'finished_at', stamp(at), 'expires_at', string.format('%.0f', at + TTL))
    local member = user .. ':' .. task
    redis.call('ZREM', key('open-jobs'), member)
    redis.call('ZREM', key('caption-deadlines'), member)
    if captions_open > 0 and (state == 'ok' or state == 'partial') then -- they may still come
        redis.call('ZADD', key('late-captions'), at + tonumber(fields[5] or 0), member)
        redis.call('HINCRBY', key('load', 'caption'), 'late', captions_open)
    end
    count_open(user, -1)
    -- What has expired is told apart from what never was.
    redis.call('SET', key('gone', user, task), 1, 'EX', TTL * GONE_TTLS)
    local engine = redis.call('GET', key('engine'))
    if state == 'ok' and captions ~= 'partial' and engine and fields[4] and fields[4] ~= '' then
        redis.call('SET', key('content', user, fields[4]), engine .. ' ' .. task, 'EX', TTL)
    end
    redis.call('EXPIRE', job, TTL)
    redis.call('EXPIRE', job .. ':pages', TTL)
    redis.call('EXPIRE', job .. ':captions', TTL)
    redis.call('EXPIRE', job .. ':described', TTL)
    keep(key('jobs', user), TTL)
    emit(user, '{"type":"result","task_id":"' .. task .. '","status":"' .. state
        .. '","captions":"' .. captions .. '","captioner":' .. json_or_null(captioner)
        .. ',"pages":' .. fields[2] .. ',"failed_pages":[' .. (fields[3] or '')
        .. '],"error":' .. json_or_null(error_code)
        .. ',"elapsed_seconds":' .. string.format('%.2f', math.max(0, at - tonumber(fields[1])))
        .. ',"url":"/v1/tasks/' .. task .. '/result","levels":"document","expires_at":' .. string.format('%.0f', at + TTL) .. '}')
end

local function close_read(user, task)
    local failed = redis.call('HGET', key('job', user, task), 'failed_pages')
    close_job(user, task, (failed and failed ~= '') and 'partial' or 'ok', '')
end

local function all_pages_in(user, task)
    local fields = redis.call('HMGET', key('job', user, task), 'pages_done', 'pages_total')
    return fields[1] == fields[2]
end

-- Whether the model is known not to answer now. A breaker whose time is over says nothing: it stays
-- as it was until somebody has a figure to try with.
local function is_model_out()
    local breaker = redis.call('HMGET', key('caption-breaker'), 'state', 'until')
    return breaker[1] and breaker[1] ~= 'closed' and tonumber(breaker[2] or 0) > now()
end

-- With the last page the job ends, or waits for its captions: no longer than its deadline, and not
-- at all while the breaker says that nobody writes any.
local function end_pages(user, task)
    local fields = redis.call('HMGET', key('job', user, task), 'captions_open', 'caption_seconds')
    local seconds = tonumber(fields[2] or 0)
    if tonumber(fields[1] or 0) == 0 or seconds == 0 or is_model_out() then
        close_read(user, task)
    else
        redis.call('ZADD', key('caption-deadlines'), now() + seconds, user .. ':' .. task)
        emit_progress(user, task, 'caption')
    end
end

-- Writes a page once; the last page ends the job, or begins its wait for captions. False where the page was there already.
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
    local total = tonumber(redis.call('HGET', job, 'pages_total'))
    if done == total then
        end_pages(user, task)
    elseif done % math.ceil(total / PROGRESS_STEPS) == 0 then
        emit_progress(user, task, 'ocr')
    end
    return true
end
