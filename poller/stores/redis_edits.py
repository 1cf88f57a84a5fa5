"""What operators' commands do inside a Redis server, one script each: the rest of the port `EditableStore`.

What is stored, and how, says `redis_scripts`.
"""

from __future__ import annotations

from poller.stores.redis_scripts import NOW, Script

# Somebody holds it: a lease that ends further ahead than it lasts was counted by another clock, and shows no holder.
_HOLDS = f"""{NOW}
local function holds(holder, expires, now)
  local ends, ttl = string.match(expires or '0 0', '^(%d+) (%d+)$')
  return holder ~= '' and now < tonumber(ends) and tonumber(ends) <= now + tonumber(ttl)
end
"""

# ARGV: the stream's ARN, its creation time, then of each shard: its name; seen (0: nothing), epoch; of what was seen and of what
# is to be, whether there is a checkpoint, position, extra, finished; fence, moved. Whether it was done.
REWRITE = Script(f"""{_HOLDS}
local key, now, size = KEYS[1], now(), 13
local stream = redis.call('HMGET', key, 'stream_arn', 'stream_created_at')
if stream[1] and (stream[1] ~= ARGV[1] or stream[2] ~= ARGV[2]) then return 0 end
local epochs = {{}}
for i = 3, #ARGV, size do
  local shard = ARGV[i]
  local stored = redis.call('HMGET', key, shard .. '/lease', shard .. '/position', shard .. '/extra', shard .. '/finished',
    shard .. '/expires')
  local known = stored[1] or stored[2] or stored[4]
  local epoch, holder = string.match(stored[1] or '0', '^(%d+) ?(.*)$')
  if (ARGV[i + 1] == '1') ~= (known and true or false) then return 0 end
  if epoch ~= ARGV[i + 2] or (ARGV[i + 6] == '1') ~= (stored[4] and true or false) then return 0 end
  local same = (ARGV[i + 3] == '1') == (stored[2] and true or false)
    and (stored[2] or '') == ARGV[i + 4] and (stored[3] or '') == ARGV[i + 5]
  if ARGV[i + 12] ~= '1' and not same then return 0 end
  if ARGV[i + 11] ~= '1' and holds(holder, stored[5], now) then return 0 end
  epochs[i] = string.format('%.0f', epoch + 1)
end
redis.call('HSET', key, 'stream_arn', ARGV[1], 'stream_created_at', ARGV[2])
for i = 3, #ARGV, size do
  local shard = ARGV[i]
  redis.call('HDEL', key, shard .. '/position', shard .. '/extra', shard .. '/finished', shard .. '/expires')
  redis.call('HSET', key, shard .. '/lease', epochs[i])
  if ARGV[i + 7] == '1' then redis.call('HSET', key, shard .. '/position', ARGV[i + 8]) end
  if ARGV[i + 9] ~= '' then redis.call('HSET', key, shard .. '/extra', ARGV[i + 9]) end
  if ARGV[i + 10] == '1' then redis.call('HSET', key, shard .. '/finished', '1') end
end
return 1
""")

# ARGV: 1 where holders are to be fenced. Whether it was done. HDEL, as it needs no right that the daemon has not.
FORGET = Script(f"""{_HOLDS}
local now, fields = now(), redis.call('HGETALL', KEYS[1])
local values = {{}}
for i = 1, #fields, 2 do values[fields[i]] = fields[i + 1] end
for name, value in pairs(values) do
  local shard = string.match(name, '^(.*)/lease$')
  local holder = string.match(value, '^%d+ ?(.*)$')
  if shard and ARGV[1] ~= '1' and holds(holder, values[shard .. '/expires'], now) then return 0 end
end
for name in pairs(values) do redis.call('HDEL', KEYS[1], name) end
return 1
""")
