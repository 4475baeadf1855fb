-- leases: what a taken chunk still owes. Needs keys.
local function uncommitted(lease)
    local pages = {}
    for page = lease.first, lease.last do
        if redis.call('HEXISTS', key('job', lease.user, lease.task, 'pages'), page) == 0 then
            pages[#pages + 1] = page
        end
    end
    return pages
end
