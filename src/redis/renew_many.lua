-- Moves the deadlines of many claims that each hold a gate alone, as renew.lua does for one.
-- KEYS: the gates, then their lines. ARGV: ttl in ms, the capacity of all, and for each what its gate says up to the
-- deadline: "holdfast <id> <token> "
-- Returns the places, from 1, of those where renew.lua has to look.
-- Most of its time goes into the calls, so what can be asked for all at once is: each has one call of its own.
local call, sub = redis.call, string.sub
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count, ttl = #KEYS / 2, ARGV[1]
local rest, graced = string.format('%.0f %s', now + ttl, ARGV[2]), string.format('%.0f', ttl + 2000)
local values = call('MGET', unpack(KEYS, 1, count))
local no_lines = call('EXISTS', unpack(KEYS, count + 1)) == 0
local others, present = {}, string.format('%.0f', now)
for i = 1, count do
    local value, head = values[i], ARGV[i + 2]
    -- Moments have 13 digits until the year 2286, and compare as text; an older one in fewer is less as well.
    if value and sub(value, 1, #head) == head and sub(value, #head + 1, #head + 13) > present then
        local alone = no_lines or call('EXISTS', KEYS[count + i]) == 0
        call('SET', KEYS[i], head .. rest, 'PX', alone and ttl or graced)
    else
        others[#others + 1] = i
    end
end
return others
