-- waiting: the chunks nobody has taken, by user. Needs keys, permits.
-- A chunk's name is task/first-last. Lower scores are taken first.
local FRONT, SUSPECT = -2, -1 -- work that comes back: first the innocent pages, then the suspect one

local function chunk_name(task, first, last)
    return task .. '/' .. first .. '-' .. last
end

local function parse_chunk(name)
    local task, first, last = string.match(name, '^(.*)/(%d+)-(%d+)$')
    return task, tonumber(first), tonumber(last)
end

-- Waiting pages of all and of a user, and the milliseconds expected for the latter, by `pages` more
-- (or fewer): admission bounds the one, and estimates from the other.
local function count_waiting(pool, user, task, pages)
    redis.call('HINCRBY', key('load', pool), 'waiting', pages)
    local backlog = key('backlog', pool)
    local page_ms = pool == 'ocr' and tonumber(redis.call('HGET', key('job', user, task), 'page_ms') or 0) or 0
    redis.call('HINCRBY', backlog, 'ms:' .. user, pages * page_ms + 0) -- +0: Lua's -0 is no integer to Redis
    if redis.call('HINCRBY', backlog, 'pages:' .. user, pages) <= 0 then
        redis.call('HDEL', backlog, 'pages:' .. user, 'ms:' .. user)
    end
end

-- Arrivals by second, from which the operator foresees work.
local function count_arrival(pool, pages, chunks)
    local load, second = key('load', pool), 'a:' .. math.floor(now())
    local p, c, c2 = string.match(redis.call('HGET', load, second) or '0:0:0', '(%d+):(%d+):(%d+)')
    redis.call('HSET', load, second,
        (p + pages) .. ':' .. (c + chunks) .. ':' .. (c2 + chunks * chunks))
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

-- The score behind all that a user has waiting.
local function behind(pool, user)
    local last = redis.call('ZRANGE', key('waiting', pool, user), -1, -1, 'WITHSCORES')
    return (last[2] or 0) + 1e-4
end

-- What a user was charged for pages that nobody could work on is undone, but the next one comes first.
local function give_way(pool, user, pages)
    local waiting = key('waiting', pool)
    local score = redis.call('ZSCORE', waiting, user) - pages
    local first = redis.call('ZRANGE', waiting, 0, 1, 'WITHSCORES')
    for i = 1, #first, 2 do
        if first[i] ~= user then
            score = math.max(score, first[i + 1] + 0.5)
            break
        end
    end
    redis.call('ZADD', waiting, score, user)
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

-- Takes a job's waiting chunks away, and as many permits (permits are alike). How many they were,
-- and the pages (of pool caption: figures) they held.
local function withdraw(pool, user, task)
    local chunks, removed, pages = key('waiting', pool, user), 0, {}
    for _, name in ipairs(redis.call('ZRANGE', chunks, 0, -1)) do
        local owner, first, last = parse_chunk(name)
        if owner == task then
            redis.call('ZREM', chunks, name)
            removed = removed + 1
            for page = first, last do
                pages[#pages + 1] = page
            end
        end
    end
    if removed > 0 then
        leave_if_done(pool, user)
        count_waiting(pool, user, task, -#pages)
        drop_permits(pool, claim_permits(pool, removed))
    end
    return removed, pages
end
