-- described: which jobs use what was said of a picture. Needs keys.
-- A picture is its terms and digest; alike, the list its look is found in. A description goes with
-- the last of its user's jobs that shows it.
local function use_description(user, task, picture, alike)
    local uses, own = key('described-for', user, picture), key('job', user, task, 'described')
    redis.call('SADD', uses, task)
    keep(uses, TTL)
    redis.call('SADD', own, picture .. ' ' .. alike)
    redis.call('PEXPIREAT', own, redis.call('PEXPIRETIME', key('job', user, task)))
end

-- A job that takes over what another one has shows its pictures, too.
local function share_descriptions(user, source, task)
    for _, member in ipairs(redis.call('SMEMBERS', key('job', user, source, 'described'))) do
        use_description(user, task, string.match(member, '^(%S+) (%S+)$'))
    end
end

-- Whether a job that is kept still uses it; those that have expired are struck off.
local function is_used(user, picture)
    local uses = key('described-for', user, picture)
    while true do
        local task = redis.call('SRANDMEMBER', uses)
        if not task or redis.call('EXISTS', key('job', user, task)) == 1 then
            return task
        end
        redis.call('SREM', uses, task)
    end
end

-- A job is deleted: so is what was said of its pictures alone, and its figures are compared with no more.
local function forget_descriptions(user, task)
    local own, lists = key('job', user, task, 'described'), {}
    for _, member in ipairs(redis.call('SMEMBERS', own)) do
        local picture, alike = string.match(member, '^(%S+) (%S+)$')
        redis.call('SREM', key('described-for', user, picture), task)
        if not is_used(user, picture) then
            redis.call('DEL', key('described', user, picture), key('described-for', user, picture))
        end
        lists[key('alike', user, alike)] = true
    end
    for list in pairs(lists) do
        for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
            -- Looked for as text first: looks are large, and nobody else is served meanwhile.
            if string.find(entry, '"' .. task .. '"', 1, true) and cjson.decode(entry).task == task then
                redis.call('LREM', list, 1, entry)
            end
        end
    end
    redis.call('DEL', own)
end
