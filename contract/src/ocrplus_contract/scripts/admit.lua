-- admit: accept a document: job record, waiting chunks, one permit a chunk, first event.
-- include: keys events permits waiting jobs
-- ARGV   prefix ttl pool user task fingerprint deadline_seconds submitted_body fields chunks
--        most_pages most_user_pages most_user_tasks
--        fields: JSON object of the job's own facts; chunks: JSON array of [first, last]
--        most_…: waiting pages of all and of this user, open tasks of this user
-- RESULT {'admitted', permits} | {'duplicate', state} | {'conflict'} | {'busy', 'all'|'pages'|'tasks'}
-- INVARIANT a task_id is admitted once; permits added = chunks added, so lag stays the waiting chunks.
local pool, user, task, fingerprint = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local fields, chunks = cjson.decode(ARGV[9]), cjson.decode(ARGV[10])
local load = key('load', pool)

local known = known_job(user, task, fingerprint)
if known then
    return known
end

local pages = 0
for _, chunk in ipairs(chunks) do
    pages = pages + chunk[2] - chunk[1] + 1
end
-- What is larger than a limit by itself is let in when nothing else waits.
local function above(waiting, most)
    return waiting > 0 and waiting + pages > tonumber(most)
end
if above(tonumber(redis.call('HGET', load, 'waiting') or 0), ARGV[11]) then
    return {'busy', 'all'}
elseif above(tonumber(redis.call('HGET', key('backlog', pool), 'pages:' .. user) or 0), ARGV[12]) then
    return {'busy', 'pages'}
elseif tonumber(redis.call('HGET', key('open-users'), user) or 0) >= tonumber(ARGV[13]) then
    return {'busy', 'tasks'}
end
local turn = redis.call('HINCRBY', load, 'turn', 1)
fields['turn'] = turn
open_job(user, task, fingerprint, pages, fields, tonumber(ARGV[7]))

-- First chunks of documents come before tails; a tail lets the heads of at most 32 later ones pass.
for i, chunk in ipairs(chunks) do
    local score = i == 1 and turn or turn + 32 + i / 1e4
    put_waiting(pool, user, chunk_name(task, chunk[1], chunk[2]), string.format('%.4f', score))
end
add_permits(pool, #chunks)

count_waiting(pool, user, task, pages)
count_arrival(pool, pages, #chunks)
emit_first(user, task, ARGV[8])
return {'admitted', #chunks}
