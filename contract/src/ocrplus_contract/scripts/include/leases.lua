-- leases: the pages that a taken chunk still owes, while its job is open. Needs keys.
-- How many they are stands in the lease (left): a forgotten job has no pages to count by.
local function uncommitted(lease)
    local pages = {}
    for page = lease.first, lease.last do
        if redis.call('HEXISTS', key('job', lease.user, lease.task, 'pages'), page) == 0 then
            pages[#pages + 1] = page
        end
    end
    return pages
end
