-- release: bring a taken chunk back: what is left of it waits at the front under new permits.
-- include: keys events permits waiting jobs captions leases
-- ARGV   prefix ttl pool permit reason idle_ms max_deaths
--        reason: died (its process ended) | expired (no heartbeat for idle_ms) | returned (given back)
--                | postponed (of pool caption: given back to wait behind the user's others, uncharged)
-- RESULT {0} (nothing held, or renewed meanwhile) | {1, permits added, page blamed or 0}
-- INVARIANT the old permit is fenced; what it tried for the breaker is over; every page owed waits again, or is committed as failed after
--           max_deaths deaths with it in hand. From the second death on the suspect page waits
--           alone, behind the rest of its chunk.
local pool, permit, reason = ARGV[3], ARGV[4], ARGV[5]
local raw = redis.call('HGET', key('lease', pool), permit)
if not raw then
    return {0}
end
if reason == 'expired' then
    local idle = redis.call('XPENDING', key('work', pool), GROUP, 'IDLE', ARGV[6], permit, permit, 1)
    if #idle == 0 then
        return {0}
    end
end
local lease = cjson.decode(raw)
local user, task, job = lease.user, lease.task, key('job', lease.user, lease.task)
redis.call('HDEL', key('lease', pool), permit)
-- 0 - x and not -x: Lua's -0 is no integer to Redis
redis.call('HINCRBY', key('load', pool), 'inflight', 0 - lease.left)
drop_permits(pool, {permit})
redis.call('HINCRBY', key('load', pool), reason, 1)
if pool == 'caption' then -- the gate would wait for the answer of a try that died
    local breaker = redis.call('HMGET', key('caption-breaker'), 'state', 'probe')
    if breaker[1] == 'half_open' and breaker[2] == permit then
        redis.call('HSET', key('caption-breaker'), 'until', '0')
    end
end
if lease.left == 0 or not is_wanted(pool, user, task, lease.turn) then
    return {1, 0, 0}
end

local owed, suspect, deaths = uncommitted(pool, lease), 0, {}
for _, page in ipairs(owed) do
    if page == lease.page and (reason == 'died' or reason == 'expired') then
        suspect = page
        redis.call('HINCRBY', job, deaths_field(pool, page), 1)
    end
    deaths[page] = tonumber(redis.call('HGET', job, deaths_field(pool, page)) or 0)
end
local poison = suspect > 0 and deaths[suspect] >= tonumber(ARGV[7])
if poison then
    redis.call('HINCRBY', key('load', pool), 'poisoned', 1)
end

-- Runs of consecutive pages owed; a suspect page stands alone from its second death on.
local runs, permits = {}, 0
for _, page in ipairs(owed) do
    local run = runs[#runs]
    local alone = deaths[page] >= 2 or (poison and page == suspect)
    if run and run.last == page - 1 and not alone and not run.alone then
        run.last = page
    else
        runs[#runs + 1] = {first = page, last = page, alone = alone}
    end
end
for _, run in ipairs(runs) do
    if not (poison and run.first == suspect) then
        local score = run.alone and SUSPECT or FRONT
        if reason == 'postponed' then
            score = string.format('%.4f', behind(pool, user))
        end
        put_waiting(pool, user, chunk_name(task, run.first, run.last), score)
        redis.call('HSET', job, since_field(pool, run.first), stamp(now()))
        count_waiting(pool, user, task, run.last - run.first + 1)
        permits = permits + 1
    end
end
add_permits(pool, permits)
if reason == 'postponed' then
    give_way(pool, user, #owed)
end
if poison and pool == 'caption' then
    fail_caption(user, task, suspect, 'caption_poison')
elseif poison then
    put_page(user, task, tostring(suspect), 'failed',
        '{"page":' .. suspect .. ',"state":"failed","markdown":"","source":null,"error":"page_poison"}',
        '{"type":"page","task_id":"' .. task .. '","page":' .. suspect
        .. ',"state":"failed","markdown":"","figures":[],"source":null,"error":"page_poison"'
        .. ',"levels":"page","headings":[],"coverage":null,"incomplete":false,"excused":null,"repeated":null,"doubled":false}')
end
return {1, permits, suspect}
