-- admit: accept a document: job record, waiting chunks, one permit a chunk, first event.
-- include: keys events permits waiting
-- ARGV   prefix ttl pool user task fingerprint deadline_seconds submitted_body fields chunks
--        fields: JSON object of the job's own facts; chunks: JSON array of [first, last]
-- RESULT {'admitted', permits} | {'duplicate', state} | {'conflict'}
-- INVARIANT a task_id is admitted once; permits added = chunks added, so lag stays the waiting chunks.
local pool, user, task, fingerprint = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local fields, chunks = cjson.decode(ARGV[9]), cjson.decode(ARGV[10])
local job, load, at = key('job', user, task), key('load', pool), now()

local known = redis.call('HMGET', job, 'fingerprint', 'state')
if known[1] then
    if known[1] == fingerprint then
        return {'duplicate', known[2]}
    end
    return {'conflict'}
end

local pages = 0
for _, chunk in ipairs(chunks) do
    pages = pages + chunk[2] - chunk[1] + 1
end
local turn = redis.call('HINCRBY', load, 'turn', 1)
redis.call('HSET', job, 'fingerprint', fingerprint, 'state', 'queued', 'pages_total', pages,
    'pages_done', 0, 'failed_pages', '', 'error', '', 'created_at', string.format('%.3f', at),
    'turn', turn)
for name, value in pairs(fields) do
    redis.call('HSET', job, name, value)
end
-- An open job outlives its deadline, so that the reconciler can still end it with an event.
local life = tonumber(ARGV[7]) + TTL
redis.call('EXPIRE', job, life)
redis.call('ZREMRANGEBYSCORE', key('jobs', user), '-inf', string.format('(%.3f', at - life))
redis.call('ZADD', key('jobs', user), at, task)
keep(key('jobs', user), life)
redis.call('ZADD', key('open-jobs'), at + tonumber(ARGV[7]), user .. ':' .. task)

-- First chunks of documents come before tails; a tail lets the heads of at most 32 later ones pass.
for i, chunk in ipairs(chunks) do
    local score = i == 1 and turn or turn + 32 + i / 1e4
    put_waiting(pool, user, chunk_name(task, chunk[1], chunk[2]), string.format('%.4f', score))
end
add_permits(pool, #chunks)

redis.call('HINCRBY', load, 'waiting', pages)
local second = 'a:' .. math.floor(at)
local p, c, c2 = string.match(redis.call('HGET', load, second) or '0:0:0', '(%d+):(%d+):(%d+)')
redis.call('HSET', load, second,
    (p + pages) .. ':' .. (c + #chunks) .. ':' .. (c2 + #chunks * #chunks))
emit(user, ARGV[8])
return {'admitted', #chunks}
