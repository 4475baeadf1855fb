-- leases: whether a taken chunk's job still runs, and what it owes. Needs keys, jobs.
local function uncommitted(lease)
    local pages = {}
    for page = lease.first, lease.last do
        if redis.call('HEXISTS', key('job', lease.user, lease.task, 'pages'), page) == 0 then
            pages[#pages + 1] = page
        end
    end
    return pages
end

-- The job that the chunk was taken for is open: one deleted and admitted anew is another.
local function still_open(lease)
    return is_open(lease.user, lease.task)
        and redis.call('HGET', key('job', lease.user, lease.task), 'created_at') == lease.job
end
