// Two members of a workspace at a server of several processes, for each world that the test names on one line:
//   [{version, transport, port, ports, workspace, private, people: {alice: {id, token}, bob}}]
// `port` is a balancer's; `ports` are those of the processes. Answers a line for each: {story, fault, heard}
import assert from 'node:assert/strict'
import { asked, say, tellAll, User } from './socketio.mjs'

const MESSAGES = 10

async function story(world, users) {
  const { workspace, people } = world
  const secret = (text) => `${world.private} ${text} \u2603`
  const [alice, bob] = ['alice', 'bob'].map(() => new User(world))
  users.push(alice, bob)
  const enter = async (user, name) => {
    assert.deepEqual(await user.request('auth', { data: people[name].token }), { userId: people[name].id })
    await user.take('auth-success')
  }
  const messages = async (user, number) => {
    const taken = []
    while (taken.length < number) taken.push(await user.take('message-created'))
    return taken
  }
  await Promise.all([alice.take('connect'), bob.take('connect')])
  await Promise.all([enter(alice, 'alice'), enter(bob, 'bob')])
  const channel = await alice.request('channel-create', { name: 'general', workspaceId: workspace })
  assert.deepEqual(await bob.take('channel-created'), channel)

  // Each once, while both go over to a WebSocket. (What two processes tell may come in either order.)
  const said = []
  for (let number = 0; number < MESSAGES; number++) {
    const sender = number % 2 ? alice : bob
    said.push(await sender.request('message-send', { channelId: channel.id, text: secret(number) }))
  }
  for (const user of [alice, bob]) {
    const heard = await messages(user, MESSAGES)
    assert.deepEqual(heard.sort((left, right) => left.id - right.id), said)
  }
  await Promise.all([alice.settle(world), bob.settle(world)])
  const long = await bob.request('message-send', { channelId: channel.id, text: secret('x'.repeat(9900)) })
  for (const user of [alice, bob]) assert.deepEqual(await messages(user, 1), [long])

  // Lost, and back at one process or another: what was said meanwhile comes, in order and once; so does what
  // is being said at that very moment.
  const was = alice.socket.id
  for (const port of [...world.ports, world.ports[0]]) {
    alice.socket.io.reconnection(false) // not before we say so
    alice.cut()
    await alice.take('disconnect')
    const missed = []
    for (let number = 0; number < 3; number++) {
      missed.push(await bob.request('message-send', { channelId: channel.id, text: secret(`missed ${number}`) }))
    }
    alice.socket.io.uri = `http://127.0.0.1:${port}`
    alice.socket.connect()
    const connected = alice.take('connect')
    for (let number = 0; number < 10; number++) {
      const sent = bob.request('message-send', { channelId: channel.id, text: secret(`meanwhile ${number}`) })
      missed.push(await sent)
    }
    await connected
    if (world.version === 4) {
      assert(alice.socket.recovered, `at port ${port}`)
      assert.equal(alice.socket.id, was)
      assert.deepEqual(await messages(alice, missed.length), missed)
    } else {
      await enter(alice, 'alice')
    }
    const last = await bob.request('message-send', { channelId: channel.id, text: secret('last') })
    // Who began anew may have heard the last of what was said meanwhile, or not.
    let heard
    do heard = (await messages(alice, 1))[0]
    while (world.version !== 4 && heard.id !== last.id)
    assert.deepEqual(heard, last)
    assert.deepEqual(await messages(bob, missed.length + 1), [...missed, last])
    await alice.settle(world)
  }
  const left = [...alice.heard, ...bob.heard].filter(([name]) => name === 'message-created')
  assert.deepEqual(left, [])
}

await tellAll(story, await asked())
say({ over: true })
process.exit()
