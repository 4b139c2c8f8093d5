-- Moves a claim's deadline, and takes the look that a waiter takes from time to time.
-- ARGV: id, weight, capacity, ttl in ms, and "p" if it has a proposal. Never makes a gate or a place that is gone.
-- Returns the token if it holds (> 0), a waiting() code (<= -100), 0 if it is gone, -3 if it is gone by break.
local time = redis.call('TIME')
if ARGV[5] then
    redis.call('PEXPIRE', string.sub(KEYS[2], 1, -2) .. ARGV[1] .. ':p', ARGV[4] + 2000)
end
local value = redis.pcall('GET', KEYS[1])
if type(value) == 'string' then
    local token, ending = string.match(value, '^holdfast ' .. ARGV[1] .. ' (%d+) (%d+) %d+$')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    if token and tonumber(ending) > now then
        local ttl = tonumber(ARGV[4])
        redis.call('SET', KEYS[1], string.format('holdfast %s %s %.0f %s', ARGV[1], token, now + ttl, ARGV[3]), 'PX',
                   string.format('%.0f', ttl + redis.call('EXISTS', KEYS[2]) * 2000))
        return tonumber(token)
    end
end
--@line
local ttl = tonumber(ARGV[4])
local problem = read_gate()
if problem then
    return problem
end
local stood = wait_on(ttl)
settle()
local answer = hold_on(ttl)
if stood and not answer then
    keep_line(ttl)
    answer = waiting()
end
write_gate()
return answer or redis.call('EXISTS', stem .. me .. ':b') * -3
