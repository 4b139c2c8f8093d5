-- Replaces the proposal of a claim that holds. ARGV: id, proposal. Returns 1, or 0 if it does not hold.
local time = redis.call('TIME')
--@line
local problem = read_gate()
if problem then
    return problem
end
local ending = kind == 'x' and holder == me and deadline or nil
if kind == 's' then
    ending = tonumber(redis.call('ZSCORE', ends, me) or nil)
end
if ending then
    redis.call('SET', stem .. me .. ':p', ARGV[2], 'PX', string.format('%.0f', ending - now + GRACE_MS))
end
settle()
write_gate()
return ending and 1 or 0
