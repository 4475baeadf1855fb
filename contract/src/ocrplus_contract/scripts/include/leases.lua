-- leases: the pages (or figures) that a taken chunk still owes, while its job is open. Needs keys, captions.
-- How many they are stands in the lease (left): a forgotten job has no pages to count by.
local function is_owed(pool, lease, page)
    if pool == 'caption' then
        return is_pending(lease.user, lease.task, page)
    end
    return redis.call('HEXISTS', key('job', lease.user, lease.task, 'pages'), page) == 0
end

-- The job's field that counts the deaths with a page, or a figure, in hand.
local function deaths_field(pool, page)
    return (pool == 'caption' and 'figure-deaths:' or 'deaths:') .. page
end

-- The job's field that says since when work that was brought back waits.
local function since_field(pool, page)
    return (pool == 'caption' and 'figure-since:' or 'since:') .. page
end

local function uncommitted(pool, lease)
    local pages = {}
    for page = lease.first, lease.last do
        if is_owed(pool, lease, page) then
            pages[#pages + 1] = page
        end
    end
    return pages
end

-- Seconds that chunks took against those that were expected, by kind, older ones fading: estimates
-- are multiplied by their quotient.
local function learn_pace(pool, lease)
    local facts = redis.call('HMGET', key('job', lease.user, lease.task), 'page_ms', 'kind')
    local pages = lease.last - lease.first + 1 - lease.left
    if not facts[1] or not facts[2] or pages == 0 then
        return
    end
    local load, fading = key('load', pool), 0.9
    for name, seconds in pairs({spent = now() - lease.taken, planned = pages * facts[1] / 1000}) do
        local field = name .. ':' .. facts[2]
        local was = tonumber(redis.call('HGET', load, field) or 0)
        redis.call('HSET', load, field, string.format('%.4f', was * fading + seconds))
    end
end
