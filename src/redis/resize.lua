-- Gives a line of permits another capacity, and grants to whoever fits now.
-- ARGV: "", permits, the capacity that marks a lock
-- Returns 1, -1 where it is a lock's line, or -(1000 + weight) where a claim in it weighs more than permits.
local time = redis.call('TIME')
--@line
local permits, lock = tonumber(ARGV[2]), tonumber(ARGV[3])
local problem = read_gate()
if problem then
    return problem
end
settle()

local ours = kind == 'x' or kind == 's'
local refusal, heaviest = nil, kind == 'x' and capacity or 0
if ours and capacity == lock then
    refusal = -1
elseif kind == 's' then
    for _, mine in ipairs(redis.call('HVALS', share)) do
        heaviest = math.max(heaviest, tonumber(string.match(mine, '^%d+') or 0))
    end
end
local entries = redis.call('LRANGE', line, 0, -1)
for place, entry in ipairs(entries) do
    local id, weight, size = string.match(entry, '^(%S+) (%d+) (%d+)$')
    if tonumber(size) == lock then
        refusal = -1
    end
    heaviest = math.max(heaviest, tonumber(weight or 0))
    entries[place] = id and string.format('%s %s %d', id, weight, permits) or entry
end
if not refusal and heaviest > permits then
    refusal = -1000 - heaviest
end
if refusal then
    write_gate()
    return refusal
end

if #entries > 0 then
    local left = redis.call('PTTL', line)
    redis.call('DEL', line)
    for first = 1, #entries, 1000 do
        redis.call('RPUSH', line, unpack(entries, first, math.min(first + 999, #entries)))
    end
    redis.call('PEXPIRE', line, math.max(left, GRACE_MS))
end
if kind == 'x' and capacity < permits then
    -- It had all the permits, and now there is room beside it.
    redis.call('DEL', ends, share)
    redis.call('ZADD', ends, deadline, holder)
    redis.call('HSET', share, holder, string.format('%d %.0f', capacity, last))
    kind, sum = 's', capacity
end
if ours then
    capacity, dirty = permits, true
end
settle()
write_gate()
return 1
