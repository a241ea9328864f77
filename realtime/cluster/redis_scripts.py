"""What the processes have in Redis: the names of all keys and channels, and the scripts that change them.

Redis runs a script as a whole, alone: that is what makes "exactly one of them was the first" true. All keys
begin with the same prefix and have the same hash tag, so that they would lie together in a Redis Cluster::

    realtime:{0}:processes            sorted set: process -> until when (ms) it is taken to live; 0: it died
    realtime:{0}:answers:PROCESS      hash: what its last operations were answered, for when it asks again
    realtime:{0}:members:PROCESS      set: the members it has entered: length of the group, ":", group, member
    realtime:{0}:group:GROUP          hash: member -> how many processes have it
    realtime:{0}:changes              counts the changes of presence: the order of events and snapshots
    realtime:{0}:leases               hash: name -> process and holder
    realtime:{0}:taken:PROCESS        set: the names of the leases it has taken
    realtime:{0}:held:HOLDER          set: the names of the leases one has
    realtime:{0}:tickets              hash: ticket -> process, address, user, score, since, whom it met lately
    realtime:{0}:contents             hash: ticket -> what a partner is told of it
    realtime:{0}:outcomes             hash: ticket -> what became of it, until its process has seen that
    realtime:{0}:tickets:PROCESS      set: the tickets it has entered, in either hash
    realtime:{0}:met:USER             sorted set: user -> when they met (µs)

    realtime:{0}:presence:GROUP       channel: the changes of a group: number, member, whether it came
    realtime:{0}:topic:TOPIC          channel: a topic of the bus
    realtime:{0}:waiting              channel: tickets as they come, and the names of those that go
    realtime:{0}:outcome:ADDRESS      channel: the outcomes of an address's tickets
    realtime:{0}:everybody            channel: all processes hear it

The number in the tag is that of the database: channels have none of their own. Redis 5 or newer: scripts look
at the clock, take some of a set, and write what follows from that.

Each operation that changes something has a number, and its answer is kept until it is out of the window: an
operation that is asked for again, as its answer was lost with the connection, is not done again. One of a
process that is taken for dead answers ``NOLONGER``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

WINDOW: Final = 256
"""Operations of one process that may be under way, and answers that are kept for it."""

PROCESS_LENGTH: Final = 16
"""Characters of a process's name."""

CHUNK: Final = 200
"""Members or leases that are entered or freed in one go: Redis does nothing else for that long, about 1 ms."""


class Names:
    """The names that are said outside of the scripts, for one prefix and one database."""

    def __init__(self, prefix: str, database: int) -> None:
        self.root = f"{prefix}:{{{database}}}:".encode()
        self.everybody = self.root + b"everybody"
        self.waiting = self.root + b"waiting"
        self._topic = self.root + b"topic:"
        self._presence = self.root + b"presence:"

    def topic(self, name: str) -> bytes:
        """Return the channel of a topic of the bus."""
        return self._topic + name.encode()

    def presence(self, group: str) -> bytes:
        """Return the channel of a group's changes."""
        return self._presence + group.encode()

    def outcomes(self, address: str) -> bytes:
        """Return the channel of an address's outcomes."""
        return self.root + b"outcome:" + address.encode()


_COMMON: Final = f"""
local root = KEYS[1]
local processes = root .. 'processes'
local leases = root .. 'leases'
local function answers(process) return root .. 'answers:' .. process end
local function members(process) return root .. 'members:' .. process end
local function taken(process) return root .. 'taken:' .. process end
local function held(holder) return root .. 'held:' .. holder end
local function in_group(name) return root .. 'group:' .. name end

local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function tell(group, member, came)
    local number = redis.call('INCR', root .. 'changes')
    redis.call('PUBLISH', root .. 'presence:' .. group, cmsgpack.pack({{number, member, came}}))
end

local function enter(process, group, member)
    if redis.call('SADD', members(process), #group .. ':' .. group .. member) == 0 then return 0 end
    if redis.call('HINCRBY', in_group(group), member, 1) > 1 then return 0 end
    tell(group, member, true)
    return 1
end

local function uncount(group, member)
    if redis.call('HINCRBY', in_group(group), member, -1) > 0 then return 0 end
    redis.call('HDEL', in_group(group), member)
    tell(group, member, false)
    return 1
end

local function has(name)
    local value = redis.call('HGET', leases, name)
    if not value then return false, false end
    return string.sub(value, 1, {PROCESS_LENGTH}), string.sub(value, {PROCESS_LENGTH + 1})
end

local function free(name, process, holder)
    redis.call('HDEL', leases, name)
    redis.call('SREM', taken(process), name)
    redis.call('SREM', held(holder), name)
end

local function give(name, process, holder)
    redis.call('HSET', leases, name, process .. holder)
    redis.call('SADD', taken(process), name)
    redis.call('SADD', held(holder), name)
end

local tickets, contents, outcomes = root .. 'tickets', root .. 'contents', root .. 'outcomes'
local function entered(process) return root .. 'tickets:' .. process end

local function withdraw(id)
    redis.call('HDEL', outcomes, id)
    if redis.call('HDEL', tickets, id) == 0 then return end
    redis.call('HDEL', contents, id)
    redis.call('PUBLISH', root .. 'waiting', cmsgpack.pack({{id}}))
end
"""

_OPERATION: Final = f"""
local process, number = ARGV[1], ARGV[2]
local until_when = redis.call('ZSCORE', processes, process)
if not until_when or tonumber(until_when) == 0 then return redis.error_reply('NOLONGER a member') end
local slot = number % {WINDOW}
local kept = redis.call('HGET', answers(process), slot)
if kept then
    local before = cmsgpack.unpack(kept)
    if before[1] == number then return before[2] end
end
local function operation()
"""

_ANSWER: Final = """
end
local answer = operation()
redis.call('HSET', answers(process), slot, cmsgpack.pack({number, answer}))
return answer
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A script by its text, and by the digest that Redis knows it by once it was loaded."""

    text: str
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest.encode())


def reading(text: str) -> Script:
    """Return a script that changes nothing that has to be done once."""
    return Script(_COMMON + text)


def operation(text: str) -> Script:
    """Return a script that is carried out once for each number of a process, while that lives."""
    return Script(_COMMON + _OPERATION + text + _ANSWER)


JOIN: Final = reading("""
redis.call('ZADD', processes, now() + ARGV[2], ARGV[1])
""")
"""Process, milliseconds to live: be a member."""

HEARTBEAT: Final = reading("""
local process = ARGV[1]
local until_when = redis.call('ZSCORE', processes, process)
if not until_when or tonumber(until_when) == 0 then return redis.error_reply('NOLONGER a member') end
local moment = now()
redis.call('ZADD', processes, moment + ARGV[2], process)
return redis.call('ZRANGEBYSCORE', processes, 0, moment, 'LIMIT', 0, 16)
""")
"""Process, milliseconds to live: live on; returns processes that have not. One that comes late but before
anybody has found it dead is forgiven: nothing of what it had was touched."""

BURY: Final = reading(f"""
local process = ARGV[1]
local until_when = redis.call('ZSCORE', processes, process)
if not until_when then return {{0}} end
if ARGV[2] == '0' and tonumber(until_when) > now() then return {{0}} end
redis.call('ZADD', processes, 0, process)
local gone = redis.call('SPOP', members(process), {CHUNK})
for _, record in ipairs(gone) do
    local colon = string.find(record, ':', 1, true)
    local start = colon + 1 + string.sub(record, 1, colon - 1)
    uncount(string.sub(record, colon + 1, start - 1), string.sub(record, start))
end
local freed = {{1}}
local names = redis.call('SPOP', taken(process), {CHUNK})
for _, name in ipairs(names) do
    local owner, holder = has(name)
    if owner == process then
        free(name, process, holder)
        table.insert(freed, name)
        table.insert(freed, holder)
    end
end
local left = redis.call('SPOP', entered(process), {CHUNK})
for _, id in ipairs(left) do withdraw(id) end
if #gone < {CHUNK} and #names < {CHUNK} and #left < {CHUNK} then
    redis.call('ZREM', processes, process)
    redis.call('DEL', answers(process))
    freed[1] = 0
end
return freed
""")
"""Process, 1 to bury it alive: take back some of what it had; returns 1 if there is more, and then the names
and holders of leases that became free. Many may call it at once: each thing is taken back by one of them."""

ENTER: Final = operation("""
return enter(process, ARGV[3], ARGV[4])
""")
"""Group, member: returns 1 if it is the first anywhere."""

ENTER_AGAIN: Final = operation("""
for index = 3, #ARGV, 2 do enter(process, ARGV[index], ARGV[index + 1]) end
return 0
""")
"""Group, member, group, member…: enter them all."""

LEAVE: Final = operation("""
local group, member = ARGV[3], ARGV[4]
if redis.call('SREM', members(process), #group .. ':' .. group .. member) == 0 then return 0 end
return uncount(group, member)
""")
"""Group, member: returns 1 if it was the last anywhere."""

MEMBERS: Final = reading("return redis.call('HKEYS', in_group(ARGV[1]))")
"""Group: returns its members."""

IS_PRESENT: Final = reading("return redis.call('HEXISTS', in_group(ARGV[1]), ARGV[2])")
"""Group, member: returns 1 if it is present."""

SNAPSHOT: Final = reading("""
return {tonumber(redis.call('GET', root .. 'changes') or 0), redis.call('HKEYS', in_group(ARGV[1]))}
""")
"""Group: returns the number of the last change that it shows, and its members."""

TAKE: Final = operation("""
local name, holder = ARGV[3], ARGV[4]
local owner, before = has(name)
if owner then free(name, owner, before) end
give(name, process, holder)
return before or 0
""")
"""Name, holder: returns who had it, or 0."""

CLAIM: Final = operation("""
local name, holder = ARGV[3], ARGV[4]
local owner, before = has(name)
if owner and before ~= holder and not (ARGV[5] and before == ARGV[5]) then return before end
if owner then free(name, owner, before) end
give(name, process, holder)
return holder
""")
"""Name, holder, and perhaps instead of whom: returns who has it then. Who has it already has it by this
process."""

RELEASE: Final = operation("""
local owner, holder = has(ARGV[3])
if holder ~= ARGV[4] then return 0 end
free(ARGV[3], owner, holder)
return 1
""")
"""Name, holder: returns 1 if it had it."""

RELEASE_SOME: Final = operation(f"""
local names = redis.call('SRANDMEMBER', held(ARGV[3]), {CHUNK})
for _, name in ipairs(names) do
    local owner = has(name)
    free(name, owner, ARGV[3])
end
return names
""")
"""Holder: frees some of what it has; returns their names."""

HOLDER: Final = reading("""
local owner, holder = has(ARGV[1])
return holder or 0
""")
"""Name: returns who has it, or 0."""

HOLDERS: Final = reading("""
local found = {}
for index, name in ipairs(ARGV) do
    local owner, holder = has(name)
    found[index] = holder or 0
end
return found
""")
"""Names: returns for each who has it, or 0."""

SCRIPTS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Script))
"""All of this module, to be loaded; those of tickets are in `redis_ticket_scripts`."""
