-- Puts a claim in line, or finds it there and moves its deadline.
-- ARGV: id, weight, capacity, ttl in ms, "1" to leave without a trace unless it can hold at once, longest line, and
-- perhaps a proposal
-- Returns the token (> 0), a waiting() code (<= -100), -1 busy, -2 line full, -(2000000000 + capacity in use) when that
-- is another.
-- The two usual cases come first, because the definitions of the rest cost time at every call.
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local tail = call('LINDEX', KEYS[2], '-1')
if not tail then
    -- Nobody there: it holds at once.
    if ARGV[2] == ARGV[3] then
        local token = time[1] .. string.format('%06d', time[2])
        local gate = string.format('holdfast %s %s %.0f %s', ARGV[1], token, now + ARGV[4], ARGV[3])
        if call('SET', KEYS[1], gate, 'NX', 'PX', ARGV[4]) then
            if ARGV[7] then
                call('SET', string.sub(KEYS[2], 1, -2) .. ARGV[1] .. ':p', ARGV[7], 'PX', ARGV[4] + 2000)
            end
            return tonumber(token)
        end
    end
elseif not ARGV[7] then
    -- Somebody else holds alone, and others wait: nothing changes but that the line becomes longer.
    local value = redis.pcall('GET', KEYS[1])
    local holder, ending, size
    if type(value) == 'string' then
        holder, ending, size = string.match(value, '^holdfast (%x+%.%x+) %d+ (%d+) (%d+)$')
    end
    if holder and holder ~= ARGV[1] and size == ARGV[3] and tonumber(ending) > now then
        local due = string.sub(KEYS[2], 1, -2) .. 'd'
        if ARGV[5] == '1' then
            if call('HEXISTS', due, ARGV[1]) == 0 then
                return -1
            end
        elseif call('HSET', due, ARGV[1], now + ARGV[4]) == 1 then
            local entry = ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. size
            if call('RPUSH', KEYS[2], entry) > tonumber(ARGV[6]) then
                call('LREM', KEYS[2], '-1', entry)
                call('HDEL', due, ARGV[1])
                return -2
            end
            -- As keep_line() does, but only in a later second than the one of the waiter before: the keys outlive
            -- every deadline by a second at least.
            local theirs = tonumber(call('HGET', due, string.match(tail, '^%S+')) or 0)
            if math.floor((now + ARGV[4]) / 1000) > math.floor(theirs / 1000) and
                call('PTTL', KEYS[2]) < ARGV[4] + 2000 then
                call('PEXPIRE', KEYS[2], ARGV[4] + 2000)
                call('PEXPIRE', due, ARGV[4] + 2000)
            end
            if theirs > now then
                return -(1000 + theirs - now)
            end
        end
    end
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
    tail = tail and string.match(tail, '^%S+')
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
