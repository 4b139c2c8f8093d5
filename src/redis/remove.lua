-- Takes a claim of ours out, in whatever state it is, and hands over to whoever may hold now.
-- ARGV: id, weight, capacity, and "p" if it has a proposal. Returns 1 if it stood there, else 0.
if ARGV[4] then
    redis.call('DEL', string.sub(KEYS[2], 1, -2) .. ARGV[1] .. ':p')
end
local gate_value = redis.pcall('GET', KEYS[1])
local prefix = 'holdfast ' .. ARGV[1] .. ' '
if type(gate_value) == 'string' and string.sub(gate_value, 1, #prefix) == prefix and
    redis.call('EXISTS', KEYS[2]) == 0 then
    return redis.call('DEL', KEYS[1])
end
local time = redis.call('TIME')
--@line
local problem = read_gate()
if problem then
    return problem
end
local found = 0
if kind == 'x' and holder == me then
    kind, dirty, found = nil, true, 1
elseif redis.call('HDEL', due, me) == 1 then
    if redis.call('LREM', line, 1, me .. ' ' .. ARGV[2] .. ' ' .. ARGV[3]) == 0 then
        -- The line was resized since.
        local size = string.match(redis.call('LINDEX', line, 0) or '', '%d+$') or ''
        redis.call('LREM', line, 1, me .. ' ' .. ARGV[2] .. ' ' .. size)
    end
    found = 1
elseif kind == 's' then
    local mine = redis.call('HGET', share, me)
    if mine then
        redis.call('ZREM', ends, me)
        redis.call('HDEL', share, me)
        sum, dirty, found = sum - tonumber(string.match(mine, '^%d+')), true, 1
        if sum <= 0 then
            kind = nil
        end
    end
end
settle()
write_gate()
return found
