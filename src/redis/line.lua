-- The line behind a gate, as all scripts see it. Put in place of "--@line" in each of them at build time.
--
-- KEYS[1] gate   string, the lock's own key; one of
--                  "holdfast <id> <token> <deadline ms> <capacity>"     one exclusive holder
--                  "holdfast shared <last token> <sum of weights> <capacity>"
--                  anything else, of any type: a foreign holder, never touched
-- KEYS[2] line   list of waiters "<id> <weight> <capacity>", first come first
--   ...d         hash, waiter id -> its deadline in server ms
--   ...e         sorted set, shared holder id -> its deadline
--   ...s         hash, shared holder id -> "<weight> <token>"
--   ...<id>:p    string, the proposal of a claim; ...<id>:b marks one that was broken
-- ARGV[1] is always the id of the claim that runs the script: 32 digits of its session, a dot, a number. Empty when it
-- is an administrator's.
--
-- Only the claimant moves its own deadline. A grant never does: it takes over the deadline that the waiter had.
local GRACE_MS = 2000
local gate, line = KEYS[1], KEYS[2]
local stem = string.sub(line, 1, -2)
local due, ends, share = stem .. 'd', stem .. 'e', stem .. 's'
local me = ARGV[1]
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

-- What the gate says. kind: nil free, 'x' exclusive, 's' shared, 'f' foreign.
local kind, holder, last, deadline, sum, capacity = nil, nil, 0, 0, 0, 0
local dirty = false

-- Returns an error of the server's that is not about the gate's type.
local function read_gate()
    local value = redis.pcall('GET', gate)
    if type(value) == 'table' then
        kind = 'f'
        return not string.find(value.err, 'WRONGTYPE', 1, true) and value or nil
    elseif not value then
        return nil
    end
    local id, token, ending, size = string.match(value, '^holdfast (%x+%.%x+) (%d+) (%d+) (%d+)$')
    if id then
        kind, holder, last, deadline, capacity = 'x', id, tonumber(token), tonumber(ending), tonumber(size)
        if deadline <= now then
            kind, holder, dirty = nil, nil, true
        end
        return nil
    end
    local newest, weights
    newest, weights, size = string.match(value, '^holdfast shared (%d+) (%d+) (%d+)$')
    if not newest then
        kind = 'f'
        return nil
    end
    kind, last, sum, capacity = 's', tonumber(newest), tonumber(weights), tonumber(size)
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now)) do
        local weight = string.match(redis.call('HGET', share, id) or '0', '^%d+')
        redis.call('ZREM', ends, id)
        redis.call('HDEL', share, id)
        sum, dirty = sum - tonumber(weight), true
    end
    if sum <= 0 then
        kind = nil
    end
    return nil
end

local function grant(id, weight, size, ending)
    -- Two grants of one script see one time, hence last + 1.
    last = math.max(now_us, last + 1)
    capacity, dirty = size, true
    if weight == size then
        kind, holder, deadline = 'x', id, ending
        return
    end
    if kind ~= 's' then
        -- What stands there belongs to a gate that is gone, and so do its holds.
        redis.call('DEL', ends, share)
        kind, sum = 's', 0
    end
    sum = sum + weight
    redis.call('ZADD', ends, ending, id)
    redis.call('HSET', share, id, string.format('%d %.0f', weight, last))
end

-- Grants from the head of the line as far as the capacity reaches; whoever's deadline has passed leaves it.
local function settle()
    while true do
        local entry = redis.call('LINDEX', line, 0)
        if not entry then
            return
        end
        local id, weight, size = string.match(entry, '^(%x+%.%x+) (%d+) (%d+)$')
        weight, size = tonumber(weight), tonumber(size)
        local ending = id and tonumber(redis.call('HGET', due, id) or 0) or 0
        if ending > now and kind and not (kind == 's' and size == capacity and sum + weight <= size) then
            return
        end
        redis.call('LPOP', line)
        redis.call('HDEL', due, id or '')
        if ending > now then
            grant(id, weight, size, ending)
            if id ~= me then
                redis.call('PUBLISH', 'holdfast:' .. string.sub(id, 1, 32), string.format('%s %.0f', id, last))
            end
        end
    end
end

-- Writes the gate if it changed. With a line behind it (and with several holders) it outlives the last deadline by
-- the grace, so that a waiter's next look hands over before a foreigner can slip in.
local function write_gate()
    if not dirty then
        return
    elseif kind == 'x' then
        redis.call('SET', gate, string.format('holdfast %s %.0f %.0f %d', holder, last, deadline, capacity), 'PX',
                   string.format('%.0f', deadline - now + redis.call('EXISTS', line) * GRACE_MS))
    elseif kind == 's' then
        local latest = tonumber(redis.call('ZREVRANGE', ends, 0, 0, 'WITHSCORES')[2] or now)
        local life = string.format('%.0f', latest - now + GRACE_MS)
        redis.call('SET', gate, string.format('holdfast shared %.0f %d %d', last, sum, capacity), 'PX', life)
        redis.call('PEXPIRE', ends, life)
        redis.call('PEXPIRE', share, life)
    elseif kind == nil then
        redis.call('DEL', gate)
    end
end

-- My token if I hold, with my deadline moved; else nil.
local function hold_on(ttl)
    if kind == 'x' and holder == me then
        deadline, dirty = now + ttl, true
        return last
    elseif kind == 's' then
        local mine = redis.call('HGET', share, me)
        if mine then
            redis.call('ZADD', ends, now + ttl, me)
            dirty = true
            return tonumber(string.match(mine, '%d+$'))
        end
    end
    return nil
end

-- Moves my deadline if I wait. Done before settling: a late renewal keeps a place that nobody has cleared yet.
local function wait_on(ttl)
    if redis.call('HEXISTS', due, me) == 0 then
        return false
    end
    redis.call('HSET', due, me, now + ttl)
    return true
end

-- The line and its deadlines live as long as the longest lease in them.
local function keep_line(ttl)
    if redis.call('PTTL', line) < ttl + GRACE_MS then
        redis.call('PEXPIRE', line, ttl + GRACE_MS)
        redis.call('PEXPIRE', due, ttl + GRACE_MS)
    end
end

-- "I wait" as one integer, which says when to look again should no message come:
--   -(1000 + ms)          until the leases of all waiters before me have ended, or as the first, a holder's
--   -(1000000000 + ms)    I am first behind a foreign key, which ends in so many ms or goes without telling anybody
--   -100                  so far behind that my next renewal is soon enough
-- tail: who was last before I came. Only a few places are searched, so that a long line costs no more than a short one.
local function waiting(tail)
    local ahead = {}
    for place, entry in ipairs(redis.call('LRANGE', line, 0, 7)) do
        local id = string.match(entry, '^%S+')
        if id == me then
            tail = nil
            break
        end
        ahead[place] = id
    end
    if #ahead == 8 then
        if not tail then
            return -100
        end
        ahead = {tail}
    elseif #ahead == 0 and kind == 'f' then
        local left = redis.call('PTTL', gate)
        return -(1000000000 + ((left < 0 or left > 900000000) and 900000000 or left))
    end
    local latest = now
    if #ahead > 0 then
        -- Not the holder's deadline: it may leave at any time, and hand over to the dead.
        for _, ending in ipairs(redis.call('HMGET', due, unpack(ahead))) do
            latest = math.max(latest, tonumber(ending or 0))
        end
    elseif kind == 'x' then
        latest = deadline
    elseif kind == 's' then
        latest = tonumber(redis.call('ZRANGE', ends, 0, 0, 'WITHSCORES')[2] or now)
    end
    return -(1000 + latest - now)
end
