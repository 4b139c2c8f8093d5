-- Tries every command that the other scripts use, on keys of its own that are gone afterwards.
-- KEYS: a free name below our prefix. ARGV: a channel below our prefix
-- Returns the names of the commands that are refused, separated by spaces.
local key = KEYS[1]
local tries = {
    {'TIME'}, {'EXISTS', key}, {'TYPE', key}, {'SET', key, 'x', 'PX', '10000'}, {'GET', key}, {'PTTL', key},
    {'PEXPIRE', key, '10000'}, {'GETRANGE', key, '0', '1'}, {'MGET', key}, {'DEL', key},
    {'RPUSH', key, 'x'}, {'LINDEX', key, '0'}, {'LLEN', key}, {'LRANGE', key, '0', '1'}, {'LREM', key, '1', 'y'},
    {'LPOP', key}, {'DEL', key},
    {'HSET', key, 'f', 'x'}, {'HGET', key, 'f'}, {'HMGET', key, 'f'}, {'HEXISTS', key, 'f'}, {'HGETALL', key},
    {'HVALS', key}, {'HDEL', key, 'f'}, {'DEL', key},
    {'ZADD', key, '1', 'm'}, {'ZSCORE', key, 'm'}, {'ZRANGE', key, '0', '0'}, {'ZREVRANGE', key, '0', '0'},
    {'ZRANGEBYSCORE', key, '-inf', '0'}, {'ZREM', key, 'm'}, {'DEL', key}, {'PUBLISH', ARGV[1], ''}
}
local refused, seen = {}, {}
for _, try in ipairs(tries) do
    local got = redis.pcall(unpack(try))
    if type(got) == 'table' and got['err'] and not seen[try[1]] then
        refused[#refused + 1], seen[try[1]] = try[1], true
    end
end
return table.concat(refused, ' ')
