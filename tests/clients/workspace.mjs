// The whole story of workspace, for each world that the test names on one line:
//   [{version, transport, port, workspace, private, people: {alice: {id, token}, bob, carol, operator}}]
// Answers a line for each: {story, fault, heard}
import assert from 'node:assert/strict'
import { asked, rest, say, tellAll, User } from './socketio.mjs'

const MESSAGES = 20

async function story(world, users) {
  const { workspace, people } = world
  const secret = (text) => `${world.private} ${text} \u2603`
  const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(() => new User(world))
  users.push(alice, bob, carol)
  const everybody = [alice, bob, carol]
  const by = (name) => (method, path, body) => rest(world, people[name].token, method, path, body)
  const operator = by('operator')
  const here = `/v1/workspaces/${workspace}`
  const both = async (name) => {
    const [first, second] = await Promise.all([alice.take(name), bob.take(name)])
    assert.deepEqual(first, second)
    return first
  }
  const silence = () => everybody.forEach((user) => assert.deepEqual(user.heard, []))

  // The place, and who belongs there.
  const made = await operator('POST', '/v1/workspaces', { id: workspace, name: `The ${workspace}` })
  assert.deepEqual(made, { status: 201, body: { id: workspace, name: `The ${workspace}` } })
  for (const name of ['alice', 'bob']) {
    assert.equal((await operator('PUT', `${here}/members/${people[name].id}`)).status, 204)
  }
  assert.equal((await by('alice')('POST', '/v1/workspaces', { id: 'mine', name: 'Mine' })).status, 403)
  assert.equal((await by('carol')('GET', `${here}/channels`)).status, 404)
  assert.equal((await rest(world, 'wrong', 'GET', `${here}/channels`)).status, 401)

  // Before auth nothing works, and everything is answered: the bare text, the pair, the acknowledgement.
  await Promise.all(everybody.map((user) => user.next('connect')))
  const early = await alice.request('message-send', { transaction: 't0', channelId: '1', text: secret('early') })
  assert.deepEqual(early, { error: 'Not authenticated' })
  const refused = async (user, event, transaction, message) => {
    if (transaction) assert.equal(await user.next(`socket-api-error-${transaction}`), message)
    assert.deepEqual(await user.next('socket-api-error'), { event, message })
  }
  await refused(alice, 'message-send', 't0', 'Not authenticated')
  alice.emit('auth', { transaction: 't1', data: secret('not a token') })
  await refused(alice, 'auth', 't1', 'Invalid access token')
  alice.emit('auth', { data: 5 })
  await refused(alice, 'auth', null, 'Invalid data format for "auth" event')

  alice.emit('auth', { transaction: 't2', data: people.alice.token, device: 'of another key' })
  assert.deepEqual(await alice.next('auth-success'), { transaction: 't2', userId: people.alice.id })
  assert.deepEqual(await alice.next('online-status-updated'), { userId: people.alice.id, onlineStatus: 'online' })
  const success = await bob.request('auth', { token: people.bob.token, onlineStatus: 'idle' })
  assert.deepEqual(success, { userId: people.bob.id })
  assert.deepEqual(await bob.next('auth-success'), { userId: people.bob.id })
  assert.deepEqual(await both('online-status-updated'), { userId: people.bob.id, onlineStatus: 'idle' })
  alice.emit('auth', { transaction: 't3', data: people.bob.token })
  await refused(alice, 'auth', 't3', 'Already authenticated as another user')
  carol.emit('auth', { data: people.carol.token })
  assert.deepEqual(await carol.next('auth-success'), { userId: people.carol.id })
  silence()

  // A channel by an event, and one by HTTP; what is wrong with others.
  const general = await alice.request('channel-create', { name: 'general', workspaceId: workspace })
  const { id, created_at: created, ...rest_ } = general
  assert.deepEqual(rest_, {
    name: 'general',
    is_private: false,
    workspace_id: workspace,
    creator_id: people.alice.id,
  })
  assert.match(id, /^\d+$/)
  assert(Math.abs(Date.parse(created) - Date.now()) < 60_000)
  assert.deepEqual(await both('channel-created'), general)
  const posted = await by('bob')('POST', `${here}/channels`, { name: 'by HTTP' })
  assert.equal(posted.status, 201)
  assert.deepEqual(await both('channel-created'), posted.body)
  bob.emit('channel-create', { transaction: 't4', name: 'x', workspaceId: workspace })
  await refused(bob, 'channel-create', 't4', 'Invalid data format for "channel-create" event')
  bob.emit('dance', { transaction: 't5' })
  await refused(bob, 'dance', 't5', 'Unknown event')
  bob.emit('message-send')
  await refused(bob, 'message-send', null, 'Invalid data format for "message-send" event')
  bob.emit('message-send', Buffer.from('not JSON'))
  await refused(bob, 'message-send', null, 'Invalid data format for "message-send" event')
  carol.emit('message-send', { transaction: 't6', channelId: id, text: secret('from outside') })
  await refused(carol, 'message-send', 't6', 'Not found')
  const listed = await by('alice')('GET', `${here}/channels`)
  assert.deepEqual(listed.body.channels, [posted.body, general])
  silence()

  // Messages: in order, the same to all, and one that is sent twice is stored once.
  for (let number = 0; number < MESSAGES; number++) {
    const sender = number % 2 ? alice : bob
    sender.emit('message-send', { channelId: id, text: secret(number) })
    const said = await both('message-created')
    assert.deepEqual([said.channelId, said.text], [id, secret(number)])
    assert.equal(said.userId, people[number % 2 ? 'alice' : 'bob'].id)
  }
  const once = { channelId: id, text: secret('x'.repeat(9900)), clientId: 'c1' }
  const stored = await alice.request('message-send', once)
  assert.deepEqual(await alice.request('message-send', once), stored)
  assert.deepEqual(await both('message-created'), stored)
  assert.deepEqual(Object.keys(stored).sort(), ['channelId', 'createdAt', 'id', 'text', 'userId'])
  const page = await by('bob')('GET', `${here}/channels/${id}/messages?limit=5`)
  assert.deepEqual(page.body.messages.at(-1), stored)
  const before = await by('bob')('GET', `${here}/channels/${id}/messages?limit=5&before=${page.body.next}`)
  const texts = [...before.body.messages, ...page.body.messages].map((message) => message.text)
  const last = [11, 12, 13, 14, 15, 16, 17, 18, 19].map(secret)
  assert.deepEqual(texts, [...last, once.text])
  silence()

  // A private channel, of whom it is, and what the others hear of it: nothing.
  const secluded = await alice.request('channel-create', { name: 'private', isPrivate: true, workspaceId: workspace })
  assert.deepEqual(await alice.next('channel-created'), secluded)
  assert.equal((await by('bob')('GET', `${here}/channels/${secluded.id}`)).status, 404)
  const inside = `${here}/channels/${secluded.id}/members/${people.bob.id}`
  assert.equal((await by('bob')('PUT', inside)).status, 404)
  assert.equal((await by('alice')('PUT', inside)).status, 204)
  assert.deepEqual(await bob.next('channel-created'), secluded)
  const joined = await both('user-joined')
  assert.deepEqual(joined, { user: { id: people.bob.id, name: people.bob.name }, workspaceId: workspace, channelId: secluded.id })
  const whisper = await bob.request('message-send', { channelId: secluded.id, text: secret('whisper') })
  assert.deepEqual(await both('message-created'), whisper)
  assert.equal((await by('alice')('DELETE', inside)).status, 204)
  const left = await both('user-leaved-workspace')
  assert.deepEqual(left, { userId: people.bob.id, workspaceId: workspace, channelId: secluded.id })
  const alone = await alice.request('message-send', { channelId: secluded.id, text: secret('alone') })
  assert.deepEqual(await alice.next('message-created'), alone)
  assert.deepEqual(await bob.request('message-send', { channelId: secluded.id, text: secret('?') }), { error: 'Not found' })
  await refused(bob, 'message-send', null, 'Not found')
  silence()

  // Who is invited while connected hears everything from then on; who is put out, nothing.
  assert.equal((await operator('PUT', `${here}/members/${people.carol.id}`)).status, 204)
  for (const user of everybody) {
    const newcomer = await user.next('user-joined')
    assert.deepEqual(newcomer, { user: { id: people.carol.id, name: people.carol.name }, workspaceId: workspace })
    assert.deepEqual(await user.next('online-status-updated'), { userId: people.carol.id, onlineStatus: 'online' })
  }
  const hello = await carol.request('message-send', { channelId: id, text: secret('hello') })
  for (const user of everybody) assert.deepEqual(await user.next('message-created'), hello)
  const renamed = await by('alice')('PATCH', `${here}/channels/${id}`, { name: 'renamed' })
  assert.deepEqual(renamed.body, { ...general, name: 'renamed' })
  for (const user of everybody) assert.deepEqual(await user.next('channel-updated'), renamed.body)
  assert.equal((await operator('DELETE', `${here}/members/${people.carol.id}`)).status, 204)
  for (const user of everybody) {
    const gone = await user.next('user-leaved-workspace')
    assert.deepEqual(gone, { userId: people.carol.id, workspaceId: workspace })
  }

  // Presence, and what a back end publishes.
  assert.deepEqual(await bob.request('online-status', { onlineStatus: 'online' }), {
    userId: people.bob.id,
    onlineStatus: 'online',
  })
  assert.deepEqual(await both('online-status-updated'), { userId: people.bob.id, onlineStatus: 'online' })
  const members = await by('bob')('GET', `${here}/members`)
  assert.deepEqual(members.body.members.map((member) => [member.id, member.onlineStatus]).sort(), [
    [people.alice.id, 'online'],
    [people.bob.id, 'online'],
  ].sort())
  const data = { anything: [1, null, { deep: '\u00e9' }] }
  assert.equal((await operator('POST', `${here}/events`, { event: 'task-assigned', data })).status, 204)
  assert.deepEqual(await both('task-assigned'), data)
  const toBob = { event: 'for-bob', data: 'text', userIds: [people.bob.id, people.carol.id] }
  assert.equal((await operator('POST', `${here}/events`, toBob)).status, 204)
  assert.equal(await bob.next('for-bob'), 'text')
  assert.equal((await by('alice')('POST', `${here}/events`, toBob)).status, 403)
  silence()

  // Lost, and back. With socket.io-client 4 as if nothing had been; the others begin anew, and read what was said.
  await Promise.all(everybody.map((user) => user.settle(world)))
  const was = alice.socket.id
  alice.socket.io.reconnection(false) // not before we say so
  alice.cut()
  await alice.next('disconnect')
  assert.deepEqual(await bob.next('online-status-updated'), { userId: people.alice.id, onlineStatus: 'offline' })
  const missed = []
  for (let number = 0; number < 5; number++) {
    missed.push(await bob.request('message-send', { channelId: id, text: secret(`missed ${number}`) }))
    assert.deepEqual(await bob.next('message-created'), missed.at(-1))
  }
  alice.socket.connect()
  await alice.next('connect')
  if (world.version === 4) {
    assert(alice.socket.recovered)
    assert.equal(alice.socket.id, was)
    assert.deepEqual(await alice.next('online-status-updated'), { userId: people.alice.id, onlineStatus: 'offline' })
    for (const message of missed) assert.deepEqual(await alice.next('message-created'), message)
  } else {
    assert.notEqual(alice.socket.id, was)
    assert.deepEqual(await alice.request('online-status', { onlineStatus: 'idle' }), { error: 'Not authenticated' })
    await refused(alice, 'online-status', null, 'Not authenticated')
    await alice.request('auth', { data: people.alice.token })
    await alice.next('auth-success')
    const said = await by('alice')('GET', `${here}/channels/${id}/messages?limit=5`)
    assert.deepEqual(said.body.messages, missed)
  }
  assert.deepEqual(await both('online-status-updated'), { userId: people.alice.id, onlineStatus: 'online' })
  const again = await bob.request('message-send', { channelId: id, text: secret('again') })
  assert.deepEqual(await both('message-created'), again)
  silence()

  // The end of a channel, and of bob; and five wrong tokens are too many.
  assert.equal((await by('bob')('DELETE', `${here}/channels/${id}`)).status, 403)
  assert.equal((await by('alice')('DELETE', `${here}/channels/${id}`)).status, 204)
  assert.deepEqual(await both('channel-deleted'), { channelId: id })
  bob.socket.disconnect()
  assert.deepEqual(await alice.next('online-status-updated'), { userId: people.bob.id, onlineStatus: 'offline' })
  const stranger = new User(world)
  users.push(stranger)
  await stranger.next('connect')
  for (let number = 0; number < 5; number++) {
    stranger.emit('auth', { transaction: `${number}`, data: secret(number) })
    await refused(stranger, 'auth', `${number}`, 'Invalid access token')
  }
  await stranger.expectEnd()
  assert.deepEqual(alice.heard, [])
  assert.deepEqual(carol.heard, [])
}

await tellAll(story, await asked())
say({ over: true })
process.exit()
