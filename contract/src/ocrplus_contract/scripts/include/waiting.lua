-- waiting: the chunks nobody has taken, by user. Needs keys.
-- A chunk's name is task/first-last. Lower scores are taken first.
local FRONT, SUSPECT = -2, -1 -- work that comes back: first the innocent pages, then the suspect one

local function chunk_name(task, first, last)
    return task .. '/' .. first .. '-' .. last
end

local function parse_chunk(name)
    local task, first, last = string.match(name, '^(.*)/(%d+)-(%d+)$')
    return task, tonumber(first), tonumber(last)
end

local function put_waiting(pool, user, name, score)
    redis.call('ZADD', key('waiting', pool, user), score, name)
    -- A newcomer starts level with the least served of those who wait, not at zero; who was here
    -- before, since somebody has been waiting all the time, takes up what he was served.
    local least = redis.call('ZRANGE', key('waiting', pool), 0, 0, 'WITHSCORES')
    local before = redis.call('HGET', key('served', pool), user)
    local start = math.max(math.floor(least[2] or 0), tonumber(before or 0))
    redis.call('ZADD', key('waiting', pool), 'NX', start, user)
end

-- Pages served count whole; the half puts who was served behind a newcomer of the same level, who
-- would else wait for one chunk more.
local function charge(pool, user, pages)
    local served = redis.call('ZSCORE', key('waiting', pool), user)
    redis.call('ZADD', key('waiting', pool), math.floor(served) + pages + 0.5, user)
end

-- A user without chunks leaves at once: a stale score would be a newcomer's unfair start. What he
-- was served is remembered until nobody waits, or small jobs one after the other would always win.
local function leave_if_done(pool, user)
    if redis.call('EXISTS', key('waiting', pool, user)) == 1 then
        return
    end
    local served = redis.call('ZSCORE', key('waiting', pool), user)
    redis.call('ZREM', key('waiting', pool), user)
    if redis.call('EXISTS', key('waiting', pool)) == 0 then
        redis.call('DEL', key('served', pool))
    elseif served then
        redis.call('HSET', key('served', pool), user, served)
    end
end
