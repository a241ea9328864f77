// A token's end, for clients of all generations. On one line:
//   {port, people: [{version, transport, id, token}]}
// Says {expired: true} when all have heard of it, and is told {published, tokens}: an event that nobody may have heard,
// and new tokens. {over: true} at the end.
import assert from 'node:assert/strict'
import { asked, say, User } from './socketio.mjs'

const world = await asked()
const users = world.people.map((person) => new User({ ...person, port: world.port }))
for (const [index, user] of users.entries()) {
  await user.take('connect')
  user.emit('auth', { transaction: 't', data: world.people[index].token })
  assert.deepEqual(await user.take('auth-success'), { transaction: 't', userId: world.people[index].id })
}
for (const user of users) {
  assert.deepEqual(await user.take('socket-api-error'), { event: 'auth', message: 'Token expired' })
  user.heard = user.heard.filter(([name]) => name !== 'online-status-updated' && name !== 'connect')
  assert.deepEqual(user.heard, [])
}
say({ expired: true })
const { published, tokens } = await asked()
for (const [index, user] of users.entries()) {
  assert.deepEqual(await user.request('online-status', { onlineStatus: 'idle' }), { error: 'Not authenticated' })
  await user.take('socket-api-error')
  await user.request('auth', { data: tokens[index] })
  await user.take('auth-success')
  const names = user.heard.map(([name]) => name)
  assert(!names.includes(published), 'nothing is delivered meanwhile')
  assert.equal((await user.request('online-status', { onlineStatus: 'idle' })).onlineStatus, 'idle')
}
for (const user of users) user.socket.disconnect()
say({ over: true })
process.exit()
