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
    -- A newcomer starts level with the least served of those who wait, not at zero.
    local least = redis.call('ZRANGE', key('waiting', pool), 0, 0, 'WITHSCORES')
    redis.call('ZADD', key('waiting', pool), 'NX', math.floor(least[2] or 0), user)
end

-- Pages served count whole; the half puts who was served behind a newcomer of the same level, who
-- would else wait for one chunk more.
local function charge(pool, user, pages)
    local served = redis.call('ZSCORE', key('waiting', pool), user)
    redis.call('ZADD', key('waiting', pool), math.floor(served) + pages + 0.5, user)
end

-- A user without chunks leaves at once: a stale score would be a newcomer's unfair start.
local function leave_if_done(pool, user)
    if redis.call('EXISTS', key('waiting', pool, user)) == 0 then
        redis.call('ZREM', key('waiting', pool), user)
    end
end
