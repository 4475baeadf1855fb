-- locate: where a client's position lies in its user's events.
-- include: keys events
-- ARGV   prefix ttl user epoch seq ('' and '': from now on; '' and a number: of the present epoch)
-- RESULT {reason, epoch, top seq, oldest seq kept (0: none), stream id to read behind}
--        reason: '' | 'epoch' | 'future_position' | 'trimmed'; then the id is that of the top
-- INVARIANT with no reason, every event after the position is in the stream.
local user, epoch, seq = ARGV[3], ARGV[4], tonumber(ARGV[5])
local stream, current = key('stream:task', user), epoch_of(user)
local top = tonumber(redis.call('HGET', key('events', user), 'seq'))
local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local oldest = first and tonumber(string.match(first[2][2], '"seq":(%d+)')) or 0
local behind = last and last[1] or '0-0'

local reason = ''
if epoch ~= '' and epoch ~= current then
    reason = 'epoch'
elseif seq and seq > top then
    reason = 'future_position'
elseif seq and seq < top then
    local missed = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', top - seq)
    if #missed < top - seq then
        reason = 'trimmed'
    else
        behind = '(' .. missed[#missed][1]
    end
end
return {reason, current, top, oldest, behind}
