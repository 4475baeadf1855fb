-- keys: names of Redis keys, as in keys.py. ARGV[1] is the prefix of every key, ARGV[2] the seconds
-- that results and events are kept; both come first in every script.
local PREFIX, TTL = ARGV[1], tonumber(ARGV[2])

local function key(...)
    return PREFIX .. table.concat({...}, ':')
end

-- Keeps a key for `seconds` more at least: one that jobs share may be needed longer by another.
local function keep(name, seconds)
    if redis.call('TTL', name) < seconds then
        redis.call('EXPIRE', name, seconds)
    end
end

-- Seconds as text, to the millisecond, rounded down as stream ids are: the two compare.
local function stamp(seconds)
    return string.format('%.3f', math.floor(seconds * 1000) / 1000)
end

-- Seconds by the server's clock: workers' clocks may disagree, this one cannot.
local function now()
    local t = redis.call('TIME')
    return tonumber(t[1]) + tonumber(t[2]) / 1e6
end
