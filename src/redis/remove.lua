-- Takes a claim of ours out, in whatever state it is, and hands over to whoever may hold now.
-- ARGV: id, weight, capacity, and "p" if it has a proposal. Returns 1 if it stood there, else 0.
local call = redis.call
if ARGV[4] then
    call('DEL', string.sub(KEYS[2], 1, -2) .. ARGV[1] .. ':p')
end
-- The usual ends come first, because the definitions of the rest cost time at every call: it holds alone, and nobody
-- waits, or the first waiter is alive and takes all. Of the server's time most goes into Lua, not into the commands: a
-- number costs less as text, or as itself where it changes, than through string.format.
local time
local value = redis.pcall('GET', KEYS[1])
local mine = 'holdfast ' .. ARGV[1] .. ' '
if type(value) == 'string' and string.sub(value, 1, #mine) == mine then
    local first = call('LRANGE', KEYS[2], '0', '1')
    if not first[1] then
        return call('DEL', KEYS[1])
    end
    time = call('TIME')
    -- Of other numbers of digits, as they will be in 250 years, this makes no sense, and the long way is taken.
    local last = tonumber(string.sub(value, #mine + 1, #mine + 16))
    local deadline = tonumber(string.sub(value, #mine + 18, #mine + 30)) or 0
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local due = string.sub(KEYS[2], 1, -2) .. 'd'
    local id, size = string.match(first[1], '^(%x+%.%x+) (%d+) %2$')
    local ending = id and last and deadline > now and call('HGET', due, id)
    local left = ending and (tonumber(ending) or 0) - now or 0
    if left > 0 then
        call('LPOP', KEYS[2])
        call('HDEL', due, id)
        local token = string.format('%.0f', math.max(time[1] * 1000000 + time[2], last + 1))
        call('SET', KEYS[1], 'holdfast ' .. id .. ' ' .. token .. ' ' .. ending .. ' ' .. size, 'PX',
             first[2] and left + 2000 or left)
        call('PUBLISH', 'holdfast:' .. string.sub(id, 1, 32), id .. ' ' .. token)
        return 1
    end
end
time = time or call('TIME')
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
