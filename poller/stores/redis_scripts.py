"""What each method of the port `Store` does inside a Redis server: one command or one Lua script each, so each is atomic.

A mapping is one hash, `poller:{UUID}:mapping`; the braces keep it in one slot of a cluster. Its fields:

- `stream_arn`, `stream_created_at`: the stream that it was enrolled with;
- `SHARD/lease`: `EPOCH OWNER`, and `EPOCH` alone once it was given back. It is compared as a whole, because an epoch alone can
  come again: a server that was emptied counts from 1, and a replica that took over may have missed the newest ones;
- `SHARD/expires`: `UNTIL TTL`: when the lease ends, in Unix milliseconds by the server's clock, and how many it lasts;
- `SHARD/position`, and `SHARD/extra` where it is not empty: the checkpoint;
- `SHARD/finished`: there once the shard is finished.

One key, so that no part of a mapping can be evicted or lost without the rest. No key and no field has a time to live: a lease
that is over still holds its epoch. Positions stay strings: Lua's numbers are doubles.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

NOW = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

_EXPIRES = """
local function expires(now, ttl)
  return string.format('%.0f %.0f', now + ttl, ttl)
end
"""

_HELD = """
local function held()
  return redis.call('HGET', KEYS[1], ARGV[1] .. '/lease') == ARGV[2]
end
"""

_GIVE_BACK = """
local function give_back()
  redis.call('HSET', KEYS[1], ARGV[1] .. '/lease', string.match(ARGV[2], '^%d+'))
end
"""

# Lua compares strings by the locale that the server was started in, and most locales overlook the spaces that pad a position.
_AFTER = """
local function after(one, other)
  local same, most = 0, math.min(#one, #other)
  while same < most do
    local middle = math.ceil((same + most) / 2)
    if string.sub(one, same + 1, middle) == string.sub(other, same + 1, middle) then same = middle else most = middle - 1 end
  end
  return (string.byte(one, same + 1) or -1) > (string.byte(other, same + 1) or -1)
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A script of one key, and the name by which a server knows it once it has run."""

    text: str
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest.encode())


# ARGV: the stream's ARN, its creation time, then shard, position and extra of each checkpoint. nil, or the stream that was there.
ENROLL = Script("""
local known = redis.call('HMGET', KEYS[1], 'stream_arn', 'stream_created_at')
if known[1] then return known end
redis.call('HSET', KEYS[1], 'stream_arn', ARGV[1], 'stream_created_at', ARGV[2])
for i = 3, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[i] .. '/position', ARGV[i + 1])
  if ARGV[i + 2] ~= '' then redis.call('HSET', KEYS[1], ARGV[i] .. '/extra', ARGV[i + 2]) end
end
return nil
""")

# The time, and all fields with their values: their lengths, and all of them in one piece. redis-py takes time that grows with the
# square of an answer of many pieces.
SHARDS = Script(f"""{NOW}
local fields, lengths = redis.call('HGETALL', KEYS[1]), {{}}
for i = 1, #fields do lengths[i] = #fields[i] end
return {{now(), table.concat(lengths, ' '), table.concat(fields)}}
""")

# ARGV: shard, owner, milliseconds. The new epoch, or nil. A lease that ends further ahead than it lasts was counted by a clock
# that has been set back, or by another server's: it is cut to what it lasts, so that it ends, and a living holder renews it.
ACQUIRE = Script(f"""{NOW}{_EXPIRES}
local shard, owner, now = ARGV[1], ARGV[2], now()
local stored = redis.call('HMGET', KEYS[1], 'stream_arn', shard .. '/finished', shard .. '/lease', shard .. '/expires')
if not stored[1] or stored[2] then return nil end
local epoch, holder = string.match(stored[3] or '0', '^(%d+) ?(.*)$')
if holder ~= '' and holder ~= owner then
  local ends, ttl = string.match(stored[4], '^(%d+) (%d+)$')
  if tonumber(ends) > now + ttl then redis.call('HSET', KEYS[1], shard .. '/expires', expires(now, ttl)) end
  if tonumber(ends) > now then return nil end
end
epoch = string.format('%.0f', epoch + 1)
redis.call('HSET', KEYS[1], shard .. '/lease', epoch .. ' ' .. owner, shard .. '/expires', expires(now, ARGV[3]))
return epoch
""")

# ARGV: shard, lease, milliseconds. Whether the lease held; so answer the others below.
RENEW = Script(f"""{NOW}{_EXPIRES}{_HELD}
if not held() then return 0 end
redis.call('HSET', KEYS[1], ARGV[1] .. '/expires', expires(now(), ARGV[3]))
return 1
""")

# ARGV: shard, lease.
RELEASE = Script(f"""{_HELD}{_GIVE_BACK}
if not held() then return 0 end
give_back()
return 1
""")

# ARGV: shard, lease.
FINISH = Script(f"""{_HELD}{_GIVE_BACK}
if not held() then return 0 end
redis.call('HSET', KEYS[1], ARGV[1] .. '/finished', '1')
give_back()
return 1
""")

# ARGV: shard, lease, position, extra. 2: the stored position is further.
ADVANCE = Script(f"""{_AFTER}
local shard, position, extra = ARGV[1], ARGV[3], ARGV[4]
local stored = redis.call('HMGET', KEYS[1], shard .. '/lease', shard .. '/position')
if stored[1] ~= ARGV[2] then return 0 end
if stored[2] and after(stored[2], position) then return 2 end
if extra == '' then
  redis.call('HSET', KEYS[1], shard .. '/position', position)
  redis.call('HDEL', KEYS[1], shard .. '/extra')
else
  redis.call('HSET', KEYS[1], shard .. '/position', position, shard .. '/extra', extra)
end
return 1
""")
