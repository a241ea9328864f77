// Clients of all kinds in one workspace, and again each time that the server was gone for a moment. On one line:
//   {port, private, path, people: [{version, transport, id, token}], comesBack: <how often>}
// Says {ready: true} each time that everybody has heard everybody, and {over: true} at the end.
import assert from 'node:assert/strict'
import { asked, rest, say, User } from './socketio.mjs'

const { port, path, people, comesBack, ...world } = await asked()
const users = people.map((person) => new User({ ...person, port }, { path }))
const secret = (text) => `${world.private} ${text} \u2603`
const said = []
let channel

async function enter(user, person) {
  await user.take('connect')
  assert.deepEqual(await user.request('auth', { data: person.token }), { userId: person.id })
  await user.take('auth-success')
}

async function meet(round) {
  await Promise.all(users.map((user, index) => enter(user, people[index])))
  if (channel === undefined) channel = await users[0].request('channel-create', { name: 'everybody' })
  const messages = await Promise.all(
    users.map((user, index) => user.request('message-send', { channelId: channel.id, text: secret(`${round} ${index}`) })),
  )
  said.push(...messages)
  const byId = (left, right) => left.id - right.id
  for (const user of users) {
    const heard = []
    while (heard.length < users.length) heard.push(await user.take('message-created'))
    assert.deepEqual(heard, [...messages].sort(byId), 'everybody hears all, in one order')
  }
  const kept = await rest({ port }, people[0].token, 'GET', `/v1/workspaces/default/channels/${channel.id}/messages`)
  assert.deepEqual(kept.body.messages, said.sort(byId), 'nothing that was acknowledged is lost')
  await Promise.all(users.map((user, index) => user.settle(people[index])))
}

for (let round = 0; ; round++) {
  await meet(round)
  say({ ready: true })
  if (round === comesBack) break
  // Nobody calls connect() here: the clients do that.
  const reasons = await Promise.all(users.map((user) => user.take('disconnect')))
  for (const reason of reasons) assert.notEqual(reason, 'io server disconnect')
}
for (const user of users) user.socket.disconnect()
say({ over: true })
process.exit()
