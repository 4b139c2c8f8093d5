-- Puts a claim in line, or finds it there and moves its deadline.
-- ARGV: id, weight, capacity, ttl in ms, "1" to leave without a trace unless it can hold at once, longest line, and
-- perhaps a proposal
-- Returns the token (> 0), a waiting() code (<= -100), -1 busy, -2 line full, -(2000000000 + capacity in use) when that
-- is another.
local time = redis.call('TIME')
if ARGV[2] == ARGV[3] and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then
    local token = time[1] .. string.format('%06d', time[2])
    local ending = string.sub(token, 1, -4) + ARGV[4]
    redis.call('SET', KEYS[1], string.format('holdfast %s %s %.0f %s', ARGV[1], token, ending, ARGV[3]), 'PX', ARGV[4])
    if ARGV[7] then
        redis.call('SET', string.sub(KEYS[2], 1, -2) .. ARGV[1] .. ':p', ARGV[7], 'PX', ARGV[4] + 2000)
    end
    return tonumber(token)
end
--@line
local weight, size, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local problem = read_gate()
if problem then
    return problem
end
local stood = wait_on(ttl)
settle()
local answer = hold_on(ttl)
if answer then
    write_gate()
    return answer
elseif stood then
    keep_line(ttl)
    write_gate()
    return waiting()
end
local length = redis.call('LLEN', line)
local common = (kind == 'x' or kind == 's') and capacity or nil
if not common and length > 0 then
    common = tonumber(string.match(redis.call('LINDEX', line, 0), '%d+$'))
end
if common and common ~= size then
    answer = -2000000000 - common
elseif length == 0 and (kind == nil or (kind == 's' and sum + weight <= size)) then
    grant(me, weight, size, now + ttl)
    answer = last
elseif ARGV[5] == '1' then
    answer = -1
elseif length >= tonumber(ARGV[6]) then
    answer = -2
else
    local tail = length > 0 and string.match(redis.call('LINDEX', line, -1), '^%S+') or nil
    redis.call('RPUSH', line, me .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
    redis.call('HSET', due, me, now + ttl)
    keep_line(ttl)
    -- The first waiter gives the gate its grace.
    dirty = dirty or (length == 0 and kind == 'x')
    answer = waiting(tail)
end
if ARGV[7] and (answer > 0 or answer <= -100) and answer > -2000000000 then
    redis.call('SET', stem .. me .. ':p', ARGV[7], 'PX', ttl + GRACE_MS)
end
write_gate()
return answer
