-- Takes away every hold of a name, or the one with a token, and hands over to whoever may hold now.
-- ARGV: "", token or "" for all. A foreign key is taken away too, if it can be a lock at all.
-- Returns how many holds there were, or -1 where the key is neither a string nor a hash, and so nobody's lock.
local time = redis.call('TIME')
--@line
local problem = read_gate()
if problem then
    return problem
end
local only, broken = ARGV[2], 0

-- The mark is for a holder that misses the message: its next renewal finds it.
local function end_hold(id, ending)
    redis.call('SET', stem .. id .. ':b', '', 'PX', string.format('%.0f', math.max(ending - now, 0) + GRACE_MS))
    redis.call('DEL', stem .. id .. ':p')
    redis.call('PUBLISH', 'holdfast:' .. string.sub(id, 1, 32), id .. ' 0')
    broken, dirty = broken + 1, true
end

if kind == 'f' and only == '' then
    local type = redis.call('TYPE', gate)['ok']
    if type ~= 'string' and type ~= 'hash' then
        return -1
    end
    redis.call('DEL', gate)
    kind, broken = nil, 1
elseif kind == 'x' and (only == '' or only == string.format('%.0f', last)) then
    kind = nil
    end_hold(holder, deadline)
elseif kind == 's' then
    local all = redis.call('HGETALL', share)
    for i = 1, #all, 2 do
        local weight, token = string.match(all[i + 1], '^(%d+) (%d+)$')
        if only == '' or only == token then
            local ending = tonumber(redis.call('ZSCORE', ends, all[i]) or now)
            redis.call('ZREM', ends, all[i])
            redis.call('HDEL', share, all[i])
            sum = sum - tonumber(weight or 0)
            end_hold(all[i], ending)
        end
    end
    if sum <= 0 then
        kind = nil
    end
end
settle()
write_gate()
return broken
