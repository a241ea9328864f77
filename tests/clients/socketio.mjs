// What the stories of workspace and talk share: users with a socket.io-client of one of three generations, who keep
// what they hear, and lines of JSON to and from the test.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import io2 from 'socket.io-client-2'
import { io as io3 } from 'socket.io-client-3'
import { io as io4 } from 'socket.io-client-4'

const CLIENTS = { 2: io2, 3: io3, 4: io4 }
const TRANSPORTS = { upgrade: ['polling', 'websocket'], websocket: ['websocket'], polling: ['polling'] }
const PATIENCE = 20_000 // ms that anything awaited may take

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** The next thing that the test says. */
export async function asked() {
  const { value, done } = await lines.next()
  assert(!done, 'the test has gone')
  return JSON.parse(value)
}

/** Say something to the test. */
export function say(thing) {
  process.stdout.write(JSON.stringify(thing) + '\n')
}

/** Run a story for each of a list of worlds, all at once, and tell what became of each. */
export async function tellAll(story, worlds) {
  await Promise.all(
    worlds.map(async (world) => {
      const users = []
      const name = `socket.io-client ${world.version}, ${world.transport}`
      try {
        await story(world, users)
        say({ story: name, fault: null })
      } catch (error) {
        say({ story: name, fault: error.stack, heard: users.map((user) => user.heard) })
      }
      for (const user of users) user.socket.disconnect()
    }),
  )
}

/** One user's socket. `heard` are the events that came and that no `take` has asked for yet. */
export class User {
  constructor(world, { path = '', headers, ...options } = {}) {
    this.heard = []
    this.waiting = []
    this.version = world.version
    this.socket = CLIENTS[world.version](`http://127.0.0.1:${world.port}${path}`, {
      transports: TRANSPORTS[world.transport],
      forceNew: true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 400,
      extraHeaders: headers,
      ...options,
    })
    // "connect" and "disconnect" are the client's own, and stand here between the others.
    this.socket.on('connect', () => this.keep('connect'))
    this.socket.on('disconnect', (reason) => this.keep('disconnect', reason))
    if (this.socket.onAny) {
      this.socket.onAny((name, payload) => this.keep(name, payload))
    } else {
      const take = this.socket.onevent
      this.socket.onevent = (packet) => {
        this.keep(packet.data[0], packet.data[1])
        take.call(this.socket, packet)
      }
    }
  }

  keep(name, payload) {
    this.heard.push([name, payload])
    for (const look of [...this.waiting]) look()
  }

  /** Wait until a condition holds; it is looked at whenever something came. */
  when(condition, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(reject, new Error(`${what} does not come`)), PATIENCE)
      const end = (settle, value) => {
        clearTimeout(timer)
        this.waiting.splice(this.waiting.indexOf(look), 1)
        settle(value)
      }
      const look = () => {
        const found = condition()
        if (found !== undefined) end(resolve, found)
      }
      this.waiting.push(look)
      look()
    })
  }

  /** The payload of the next event of this name; what came before it and is not its matter stays. */
  take(name) {
    return this.when(() => {
      const at = this.heard.findIndex((each) => each[0] === name)
      return at < 0 ? undefined : (this.heard.splice(at, 1)[0][1] ?? null)
    }, name)
  }

  /** The payload of the event that comes next, which must have this name. */
  async next(name) {
    const [found, payload] = await this.when(() => this.heard.shift(), name)
    assert.equal(found, name, JSON.stringify(payload))
    return payload ?? null
  }

  emit(name, ...payload) {
    this.socket.emit(name, ...payload)
  }

  /** What an event is acknowledged with. */
  request(name, payload) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${name} is not acknowledged`)), PATIENCE)
      this.socket.emit(name, payload, (answer) => {
        clearTimeout(timer)
        resolve(answer)
      })
    })
  }

  get transport() {
    return this.socket.io.engine.transport.name
  }

  /** Wait until the transport is the one that the world wants in the end. */
  async settle(world) {
    const wanted = world.transport === 'polling' ? 'polling' : 'websocket'
    if (this.transport !== wanted) await new Promise((resolve) => this.socket.io.engine.once('upgrade', resolve))
    assert.equal(this.transport, wanted)
  }

  /** Lose the connection without a word, as far as the transport lets one. */
  cut() {
    const { engine } = this.socket.io
    if (this.transport === 'websocket') engine.transport.ws.terminate()
    else engine.close()
  }

  /** Put out by the server, for good: a stock client does not come back by itself. */
  async expectEnd() {
    assert.equal(await this.next('disconnect'), 'io server disconnect')
    await pause(500)
    assert.deepEqual(this.heard, [])
    assert(!this.socket.connected)
  }
}

/** A request to the HTTP API: status, and the body if there is one. */
export async function rest(world, token, method, path, body) {
  const answer = await fetch(`http://127.0.0.1:${world.port}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}` },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await answer.text()
  return { status: answer.status, body: text ? JSON.parse(text) : null }
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
