-- Moves the deadlines of many claims that each hold a gate alone, as renew.lua does for one.
-- KEYS: gate and line of each. ARGV: ttl in ms, id of each
-- Returns for each its token, or 0 where renew.lua has to look.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = tonumber(ARGV[1])
local ending, graced = string.format(' %.0f ', now + ttl), string.format('%.0f', ttl + 2000)
local answers = {}
for i = 2, #ARGV do
    local gate, answer = KEYS[2 * i - 3], 0
    local value = redis.pcall('GET', gate)
    if type(value) == 'string' then
        local id, token, due, size = string.match(value, '^holdfast (%x+%.%x+) (%d+) (%d+) (%d+)$')
        if id == ARGV[i] and tonumber(due) > now then
            redis.call('SET', gate, 'holdfast ' .. id .. ' ' .. token .. ending .. size, 'PX',
                       redis.call('EXISTS', KEYS[2 * i - 2]) == 0 and ARGV[1] or graced)
            answer = tonumber(token)
        end
    end
    answers[i - 1] = answer
end
return answers
