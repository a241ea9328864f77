"""The scripts of tickets: what waits in Redis until two are made a pair. See `redis_scripts` for the keys.

A ticket has one outcome. Whoever decides it, and however many believe that they are the one who does, `SETTLE`
takes both tickets of a pair out at once, or neither; the outcome is published, and stays until the ticket's
process has said that it knows. All moments and spans are whole microseconds, and the caller's.
"""

from __future__ import annotations

from typing import Final

from realtime.cluster.redis_scripts import CHUNK, Script, operation, reading

_MEET: Final = """
local function meet(one, other, now, counts, most)
    if tonumber(counts) == 0 then return end
    local met = root .. 'met:' .. one
    redis.call('ZADD', met, now, other)
    redis.call('ZREMRANGEBYRANK', met, 0, -1 - most)
    redis.call('PEXPIRE', met, math.ceil(counts / 1000))
end
"""

_TICKET: Final = """
local function ticket(id)
    local packed = redis.call('HGET', tickets, id)
    return packed and cmsgpack.unpack(packed)
end
"""

NOW: Final = reading("""
local time = redis.call('TIME')
return time[1] * 1000000 + time[2]
""")
"""Returns the time."""

MEET: Final = operation(f"""{_MEET}
local now, counts, most, one, other = unpack(ARGV, 3)
meet(one, other, now, counts, most)
meet(other, one, now, counts, most)
return 0
""")
"""Now, for how long it counts, how many of one are kept, two users: they have met."""

WAIT: Final = operation(f"""{_TICKET}
local id, address, user, score, since = unpack(ARGV, 3, 7)
local before = ticket(id)
if before then redis.call('SREM', entered(before[1]), id) end
redis.call('SADD', entered(process), id)
local outcome = redis.call('HGET', outcomes, id)
if outcome then return outcome end
local met = root .. 'met:' .. user
redis.call('ZREMRANGEBYSCORE', met, '-inf', ARGV[8] - ARGV[9])
local recent = redis.call('ZRANGE', met, 0, -1)
for index = 1, #recent do recent[index] = tonumber(recent[index]) end
user, score, since = tonumber(user), tonumber(score), tonumber(since)
redis.call('HSET', tickets, id, cmsgpack.pack({{process, address, user, score, since, recent}}))
redis.call('HSET', contents, id, ARGV[10])
redis.call('PUBLISH', root .. 'waiting', cmsgpack.pack({{id, user, score, since, recent}}))
return 0
""")
"""Ticket, address, user, score, since when, now, for how long a meeting counts, contents: wait; returns what
became of the ticket if something has already, or 0."""

WITHDRAW: Final = operation("""
local found = {}
for index = 3, #ARGV do
    local id = ARGV[index]
    found[index - 2] = redis.call('HGET', outcomes, id) or 0
    withdraw(id)
    redis.call('SREM', entered(process), id)
end
return found
""")
"""Tickets: wait no longer, and forget what became of them; returns that for each, or 0."""

STANDING: Final = reading("""
local found = {}
for index, id in ipairs(ARGV) do
    found[index] = redis.call('HGET', outcomes, id) or redis.call('HEXISTS', tickets, id)
end
return found
""")
"""Tickets: returns for each what became of it, 1 if it waits, or 0."""

PAIR: Final = operation(f"""{_MEET}{_TICKET}
local name, now, counts, most, first, second = unpack(ARGV, 3)
local one, other = ticket(first), ticket(second)
if not (one and other) then return {{one and 1 or 0, other and 1 or 0}} end
local told = {{name, redis.call('HGET', contents, first), redis.call('HGET', contents, second)}}
local outcome = cmsgpack.pack(told)
for _, id in ipairs({{first, second}}) do
    redis.call('HDEL', tickets, id)
    redis.call('HDEL', contents, id)
    redis.call('HSET', outcomes, id, outcome)
end
meet(one[3], other[3], now, counts, most)
meet(other[3], one[3], now, counts, most)
redis.call('PUBLISH', root .. 'outcome:' .. one[2], outcome)
if one[2] ~= other[2] then redis.call('PUBLISH', root .. 'outcome:' .. other[2], outcome) end
return 0
""")
"""The pair's name, now, for how long a meeting counts, how many of one are kept, two tickets: make them a pair.
Returns 0; or for each whether it waits, if one does not: then nothing has happened."""

GIVE_UP: Final = operation(f"""{_TICKET}
local id = ARGV[3]
local found = ticket(id)
if not found then return 0 end
local outcome = cmsgpack.pack({{redis.call('HGET', contents, id)}})
redis.call('HDEL', tickets, id)
redis.call('HDEL', contents, id)
redis.call('HSET', outcomes, id, outcome)
redis.call('PUBLISH', root .. 'outcome:' .. found[2], outcome)
return 1
""")
"""Ticket: nobody is found for it."""

TICKETS: Final = reading(f"""
return redis.call('HSCAN', tickets, ARGV[1], 'COUNT', {CHUNK})
""")
"""Cursor: returns the next, and some tickets with what is kept of them."""

TICKET_SCRIPTS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Script))
"""All of them, to be loaded."""
