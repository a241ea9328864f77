// The stories of talk, for each world that the test names on one line:
//   [{version, transport, port, path, score, private, people: {alice: {id, name, token}, bob}}]
// Answers a line for each: {story, fault, heard}
import assert from 'node:assert/strict'
import { asked, pause, rest, say, tellAll, User } from './socketio.mjs'

const QUESTIONS = [
  { id: 1, question: 'Am I interesting?' },
  { id: 'two', question: 'Am I boring?' },
]

async function story(world, users) {
  const { people, path, score } = world
  const secret = (text) => `${world.private} ${text} \u2603`

  const enter = async (name, token = people[name].token) => {
    let options = { path, headers: { Authorization: `Bearer ${token}` } }
    if (name === 'alice' && world.version > 2) options = { path, auth: { token } }
    if (name === 'alice' && world.version === 2) options = path ? { path: `${path}?token=${token}` } : { query: { token } }
    const user = new User(world, options)
    users.push(user)
    await user.next('connect')
    return user
  }

  // Payloads as objects, and as the texts that clients in the field send: answers come in the same form.
  const forms = {
    object: { write: (payload) => payload, read: (payload) => payload },
    text: {
      write: JSON.stringify,
      read: (payload) => {
        assert.equal(typeof payload, 'string')
        return JSON.parse(payload)
      },
    },
  }

  const match = async (form) => {
    const [alice, bob] = [await enter('alice'), await enter('bob')]
    alice.emit('find', form.write({ score, questions: QUESTIONS }))
    bob.emit('find', form.write({ score: score + 0.05, questions: [] }))
    const found = form.read(await alice.next('match'))
    assert.deepEqual(found, { username: people.bob.name, user_id: Number(people.bob.id), match_id: found.match_id })
    assert.equal(form.read(await bob.next('match')).match_id, found.match_id)
    return { alice, bob, id: found.match_id }
  }

  const talk = async (form) => {
    const { alice, bob, id } = await match(form)
    for (const user of [alice, bob]) user.emit('confirm', form.write({ match_id: id }))
    for (const user of [alice, bob]) assert.equal(await user.next('chat-start'), null)
    return { alice, bob, id }
  }

  for (const form of Object.values(forms)) {
    const { alice, bob, id } = await talk(form)
    for (let number = 0; number < 5; number++) {
      alice.emit('message', form.write({ message: secret(`from alice ${number}`) }))
      bob.emit('message', form.write({ message: secret(`from bob ${number}`) }))
    }
    for (let number = 0; number < 5; number++) {
      assert.deepEqual(form.read(await bob.next('message')), { message: secret(`from alice ${number}`) })
      assert.deepEqual(form.read(await alice.next('message')), { message: secret(`from bob ${number}`) })
    }
    await Promise.all([alice.settle(world), bob.settle(world)])
    assert.deepEqual(form.read(await alice.next('chat-stop')), { questions: [] })
    assert.deepEqual(form.read(await bob.next('chat-stop')), { questions: QUESTIONS })
    const answers = QUESTIONS.map((question) => ({ question_id: question.id, answer: secret('Yes.') }))
    alice.emit('message', form.write({ message: secret('too late') }))
    const late = await alice.next('error')
    if (form === forms.text) assert.equal(typeof late, 'string')
    else assert.equal(late.code, 'not-allowed')
    alice.emit('answers', form.write({ match_id: id, answers: [] }))
    bob.emit('answers', form.write({ match_id: id, answers }))
    assert.deepEqual(form.read(await alice.next('answers')), { match_id: id, answers })
    assert.deepEqual(form.read(await bob.next('answers')), { match_id: id, answers: [] })
    await Promise.all([alice.expectEnd(), bob.expectEnd()])
    const { body } = await rest(world, people.alice.token, 'GET', '/v1/talks?limit=1')
    assert.deepEqual([body.talks[0].match_id, body.talks[0].outcome], [id, 'answered'])
  }

  // Nobody: an error, which is an event, and then the end.
  for (const token of ['', secret('wrong').replace(/[^a-z]/g, '')]) {
    const stranger = await enter('alice', token)
    const error = await stranger.next('error')
    assert.equal(error.code, 'unauthorized')
    await stranger.expectEnd()
  }

  // What can't be read, and what has no place here.
  const wrong = await enter('alice')
  wrong.emit('find', { score: '0.3', questions: [] })
  assert.equal((await wrong.next('error')).code, 'bad-request')
  const early = await enter('bob')
  early.emit('message', JSON.stringify({ message: secret('hello?') }))
  assert.equal(typeof (await early.next('error')), 'string')
  await Promise.all([wrong.expectEnd(), early.expectEnd()])

  // Gone without a word, and replaced by a newer connection.
  const lost = await talk(forms.object)
  lost.bob.socket.io.reconnection(false)
  lost.bob.cut()
  assert.equal((await lost.alice.next('error')).code, 'partner-left')
  const replaced = await match(forms.object)
  const newer = await enter('bob')
  assert.equal((await replaced.bob.next('error')).code, 'replaced')
  assert.equal((await replaced.alice.next('error')).code, 'partner-left')
  await Promise.all([lost.alice.expectEnd(), replaced.bob.expectEnd(), replaced.alice.expectEnd()])
  assert.deepEqual(newer.heard, [])
  assert(newer.socket.connected)
}

await tellAll(story, await asked())
say({ over: true })
process.exit()
