/**
 * One module for browsers: the five protocols of realtime, each a class, over connections that come back.
 *
 *     import { signIn, Support } from 'https://chat.example/client.js'
 *
 *     const token = await signIn('https://chat.example/', 'alice', 'password')
 *     const support = new Support('https://chat.example/', token)
 *     support.addEventListener('message', ({ detail }) => show(detail.message))
 *     support.connect()
 *     support.send('Hello')
 *
 * Every class is an EventTarget; what an event brings is its `detail`. All have `state` events:
 *
 * - `connecting`, `open` (it is authenticated: say what you like), `waiting` (it will try again in `seconds`),
 *   `ended` (it will not: `code` is a close code, `reason` a text for people)
 *
 * A lost connection is made again after a delay that grows and is jittered; at once when the browser is online
 * again or the page is looked at again. It ends where a new try would fail the same way: the token is refused
 * (4401), the page's origin is (4403), a newer connection took over (4409), the server has said goodbye (1000).
 *
 * What is said is kept until the server has it, as an `Outgoing` that tells its state in `outgoing` events. What was
 * not acknowledged when a connection is lost goes out again where the protocol can tell that it is the same;
 * where it can't, it is looked for in what the server has, and if it is not there it is `unsent`: for the user to
 * `retry` or `discard`.
 *
 * Tokens are in a message where the protocol has one for it, else in the list of subprotocols; never in an address.
 * Nothing here touches the page.
 */

/** Close codes after which the same client may come back (realtime/closing.py); 1005, 1006 and 1011 to 1014: the way was lost. */
const COMES_BACK = new Set([1001, 1005, 1006, 1011, 1012, 1013, 1014, 4408, 4430])
const NOT_AUTHENTICATED = 4401
const FORBIDDEN = 4403

const FIRST_DELAY = 0.5 // seconds, doubled with each try
const LONGEST_DELAY = 30
const SETTLED = 10 // seconds that a connection has to last for the next delay to be short again
const PATIENCE = 20 // seconds for a connection to be open, and for the answer to a question whether it still lives

/** A request was answered with an error of the protocol. */
export class ProtocolError extends Error {
  /** @param {number | string} code @param {string} message */
  constructor(code, message) {
    super(message)
    this.name = 'ProtocolError'
    this.code = code
  }
}

/** The connection was lost before a request was answered. */
export class ConnectionLost extends Error {
  constructor() {
    super('The connection was lost.')
    this.name = 'ConnectionLost'
  }
}

/** Signing in failed: `status` 403 (name or password, or too many tries: then `retryAfter` is in seconds) or 503. */
export class SignInError extends Error {
  /** @param {number} status @param {number | null} retryAfter */
  constructor(status, retryAfter) {
    super(
      status !== 403
        ? 'The server can’t check names and passwords now.'
        : retryAfter
          ? `Too many tries: wait ${retryAfter} seconds.`
          : 'Wrong name or password.',
    )
    this.name = 'SignInError'
    this.status = status
    this.retryAfter = retryAfter
  }
}

/**
 * A name and a password for a token.
 *
 * @param {string | URL} url where the server is: `https://chat.example/`
 * @param {string} name
 * @param {string} password
 * @returns {Promise<string>} the token
 * @throws {SignInError} or a TypeError if the server can't be reached
 */
export async function signIn(url, name, password) {
  const answer = await fetch(httpAddress(url, 'v1/auth/'), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user_name: name, password }),
    credentials: 'omit',
  })
  if (!answer.ok) throw new SignInError(answer.status, Number(answer.headers.get('retry-after')) || null)
  return (await answer.json()).result.token
}

/**
 * The id of the user that one of the server's own tokens is for; null if it can't be read from it.
 *
 * @param {string} token
 * @returns {string | null}
 */
export function userIdOf(token) {
  try {
    const claims = JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')))
    return String(claims.sub ?? '') || null
  } catch {
    return null
  }
}

/**
 * Something that was said, until the server has it.
 *
 * `state` is `queued` (no connection yet), `sent` (not acknowledged yet), `unsent` (lost on the way, or the server
 * could not take it: retry or discard), `stored`, or `refused` (it never will be: `error` says why).
 */
export class Outgoing {
  /** @param {string} id unique @param {any} body as the protocol's class has it */
  constructor(id, body) {
    this.id = id
    this.body = body
    /** @type {'queued' | 'sent' | 'unsent' | 'stored' | 'refused'} */
    this.state = 'queued'
    /** @type {Error | null} */
    this.error = null
    /** support: the newest message that was known when it was sent. */
    this.after = 0
    /** What the server made of it; rejected if it was refused or discarded. @type {Promise<any>} */
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.done.catch(() => {}) // who does not ask need not know
  }
}

/**
 * @typedef {'idle' | 'connecting' | 'open' | 'waiting' | 'ended'} State
 *
 * @typedef {object} StateDetail what a `state` event brings
 * @property {State} state
 * @property {number} [seconds] of `waiting`: until the next try
 * @property {number} [code] of `ended`: the close code
 * @property {string} [reason] of `ended`: a text for people
 */

/** What the protocols have in common. Not for itself. */
export class Connection extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #lifeTimer
  #tries = 0
  #openSince = 0
  #heardAt = 0
  #wake = () => this.#lookAround()

  /**
   * @param {string | URL} url where the server is: `https://chat.example/`
   * @param {string} path of the protocol there
   * @param {string} token
   */
  constructor(url, path, token) {
    super()
    this.url = new URL(url, globalThis.location?.href)
    this.token = token
    this.path = path
    /** @type {State} */
    this.state = 'idle'
    /** What was said and the server does not have yet, oldest first. @type {Outgoing[]} */
    this.outbox = []
    /**
     * Called with each frame: `'in'` or `'out'`, as it is on the wire, and what it means. Tokens are in it.
     * @type {((direction: 'in' | 'out', raw: string | ArrayBuffer, decoded: any) => void) | null}
     */
    this.onframe = null
  }

  /** Connect, and stay connected until `close`. */
  connect() {
    if (this.state === 'idle' || this.state === 'ended') {
      globalThis.addEventListener?.('online', this.#wake)
      globalThis.document?.addEventListener('visibilitychange', this.#wake)
      this.#tries = 0
      this.#open()
    }
    return this
  }

  /** Leave. What was not acknowledged stays in `outbox`, and goes out if `connect` is called again. */
  close() {
    if (this.state !== 'idle' && this.state !== 'ended') this._end(1000, 'You have left.')
  }

  /** Try again now, not when the time has come. */
  retryNow() {
    if (this.state === 'waiting') this.#open()
  }

  /** Send a frame as it is. Returns whether there was a connection for it. @param {string | ArrayBuffer | Uint8Array} data */
  raw(data) {
    return this._send(data, undefined)
  }

  /** Say something again that was `unsent`. @param {Outgoing} outgoing */
  retry(outgoing) {
    if (outgoing.state !== 'unsent') return
    outgoing.error = null
    this._mark(outgoing, 'queued')
    this._flush()
  }

  /** Give up something that was not sent. @param {Outgoing} outgoing */
  discard(outgoing) {
    if (outgoing.state === 'unsent' || outgoing.state === 'queued') {
      this._refused(outgoing, new Error('It was discarded.'))
    }
  }

  // -- for the protocols. What is overridden:

  /** @protected @returns {string[]} */
  _subprotocols() {
    return []
  }

  /** The WebSocket is open: authenticate, then call `_ready`. @protected */
  _opened() {
    this._ready()
  }

  /** A frame came. @protected @param {string | ArrayBuffer} _raw */
  _received(_raw) {}

  /** The connection is lost: forget what was of it alone. @protected */
  _lost() {}

  /** Send what was said; it is asked only while open. @protected @param {Outgoing} _outgoing */
  _transmit(_outgoing) {}

  /** Ask something that is answered, to see whether the connection still lives. @protected @returns {boolean} whether it can be asked */
  _probe() {
    return false
  }

  /** Whether a connection that is lost may be made again. @protected */
  _comesBack() {
    return true
  }

  /** Whether the server refuses the token; asked where a handshake failed, which tells a page nothing. @protected @returns {Promise<boolean>} */
  async _tokenRefused() {
    return false
  }

  // What they call:

  /** @protected @param {string} name @param {any} [detail] */
  _tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }

  /** It is authenticated: send what waits. @protected */
  _ready() {
    clearTimeout(this.#timer)
    this.#openSince = Date.now()
    this.#set({ state: 'open' })
    this._flush()
  }

  /** Send one frame. @protected @param {string | ArrayBuffer | Uint8Array} raw @param {any} decoded */
  _send(raw, decoded) {
    if (this.#socket?.readyState !== 1) return false
    this.#socket.send(/** @type {any} */ (raw))
    this.onframe?.('out', /** @type {any} */ (raw), decoded)
    return true
  }

  /** It is over, and not tried again. @protected @param {number} code @param {string} reason */
  _end(code, reason) {
    this.#drop(code === 1000 ? 1000 : undefined)
    globalThis.removeEventListener?.('online', this.#wake)
    globalThis.document?.removeEventListener('visibilitychange', this.#wake)
    this._lost()
    this.#set({ state: 'ended', code, reason })
  }

  /** The connection is dead, though nothing says so. @protected */
  _cut() {
    this.#drop()
    this.#wasLost(1006, '')
  }

  /** Keep something to say. @protected @param {any} body */
  _post(body) {
    const outgoing = new Outgoing(randomId(), body)
    this.outbox.push(outgoing)
    this._mark(outgoing, 'queued')
    this._flush()
    return outgoing
  }

  /** @protected @param {Outgoing} outgoing @param {Outgoing['state']} state */
  _mark(outgoing, state) {
    outgoing.state = state
    if (state === 'stored' || state === 'refused') this.outbox = this.outbox.filter((each) => each !== outgoing)
    this._tell('outgoing', outgoing)
  }

  /** @protected @param {Outgoing} outgoing @param {any} result */
  _stored(outgoing, result) {
    outgoing.resolve?.(result)
    this._mark(outgoing, 'stored')
  }

  /** @protected @param {Outgoing} outgoing @param {Error} error */
  _refused(outgoing, error) {
    outgoing.error = error
    outgoing.reject?.(error)
    this._mark(outgoing, 'refused')
  }

  /** @protected @param {Outgoing} outgoing @param {Error | null} [error] */
  _unsent(outgoing, error = null) {
    outgoing.error = error
    this._mark(outgoing, 'unsent')
  }

  /** What was sent over a connection that is gone, and not acknowledged. @protected */
  _unacknowledged() {
    return this.outbox.filter((each) => each.state === 'sent')
  }

  /** @protected */
  _flush() {
    if (this.state !== 'open') return
    for (const outgoing of this.outbox.filter((each) => each.state === 'queued')) {
      this._mark(outgoing, 'sent')
      this._transmit(outgoing)
    }
  }

  // -- inside

  #open() {
    clearTimeout(this.#timer)
    this.#set({ state: 'connecting' })
    let opened = false
    let socket
    try {
      socket = new WebSocket(webSocketAddress(this.url, this.path), this._subprotocols())
    } catch {
      this._end(NOT_AUTHENTICATED, 'This token can’t be sent.') // it is no subprotocol (RFC 6455, 4.1)
      return
    }
    this.#socket = socket
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
      opened = true
      this._opened()
    }
    socket.onmessage = ({ data }) => {
      this.#heardAt = Date.now()
      clearTimeout(this.#lifeTimer)
      this._received(data)
    }
    socket.onclose = ({ code, reason }) => {
      this.#drop()
      if (opened) this.#wasLost(code, reason)
      else this.#wasRefused()
    }
    this.#timer = setTimeout(() => this._cut(), PATIENCE * 1000)
  }

  /** Let go of the socket: nothing that it does from now on is heard. @param {number} [code] */
  #drop(code) {
    clearTimeout(this.#timer)
    clearTimeout(this.#lifeTimer)
    const socket = this.#socket
    this.#socket = null
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null
      if (socket.readyState < 2) socket.close(code)
    }
  }

  /** @param {number} code @param {string} reason */
  #wasLost(code, reason) {
    if (!COMES_BACK.has(code) || !this._comesBack()) {
      this._end(code, reason)
      return
    }
    this._lost()
    if (this.#openSince && Date.now() - this.#openSince > SETTLED * 1000) this.#tries = 0
    this.#openSince = 0
    const most = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#tries++)
    const seconds = most * (0.5 + Math.random() / 2)
    this.#timer = setTimeout(() => this.#open(), seconds * 1000)
    this.#set({ state: 'waiting', seconds })
  }

  /** A browser does not say why a handshake failed. Ask over HTTP what it could have been. */
  async #wasRefused() {
    const socket = this.#socket
    const why = await this.#whyRefused()
    if (this.state !== 'connecting' || this.#socket !== socket) return
    if (why === NOT_AUTHENTICATED) this._end(why, 'The token is not valid.')
    else if (why === FORBIDDEN) this._end(why, 'This page’s origin may not connect.')
    else this.#wasLost(1006, '')
  }

  async #whyRefused() {
    const address = httpAddress(this.url, 'v1/auth/')
    const options = /** @type {RequestInit} */ ({ credentials: 'omit', cache: 'no-store' })
    try {
      await fetch(address, { ...options, signal: AbortSignal.timeout(PATIENCE * 1000) })
    } catch {
      // It can't be read. If it can be asked all the same, the server is there, and this page is not welcome.
      return fetch(address, { ...options, mode: 'no-cors', signal: AbortSignal.timeout(PATIENCE * 1000) }).then(
        () => FORBIDDEN,
        () => 0,
      )
    }
    return (await this._tokenRefused().catch(() => false)) ? NOT_AUTHENTICATED : 0
  }

  /** The browser is online again, or somebody looks. */
  #lookAround() {
    if (globalThis.document?.visibilityState === 'hidden') return
    if (this.state === 'waiting') this.retryNow()
    else if (this.state === 'open' && Date.now() - this.#heardAt > 5_000 && this._probe()) {
      clearTimeout(this.#lifeTimer)
      this.#lifeTimer = setTimeout(() => this._cut(), PATIENCE * 500)
    }
  }

  /** @param {StateDetail} detail */
  #set(detail) {
    this.state = detail.state
    this._tell('state', detail)
  }
}

// -- talk ------------------------------------------------------------------------------------------

/**
 * @typedef {{ id: number | string, question: string }} Question
 * @typedef {{ question_id: number | string, answer: string }} Answer
 * @typedef {{ username: string, user_id: number, match_id: string }} Match
 */

/**
 * Strangers matched by score. One object is one talk: it ends with it.
 *
 * Events: `match` (a Match), `chat-start`, `message` ({message}, the partner's), `chat-stop` ({questions}, the partner's),
 * `answers` ({match_id, answers}, the partner's), `error` ({message, code}). `phase` is `idle`, `queued`, `confirming`,
 * `talking`, `answering` or `over`. Only who is still searching comes back when the connection is lost: a talk ends with it.
 */
export class Talk extends Connection {
  /** @param {string | URL} url @param {string} token */
  constructor(url, token) {
    super(url, 'talk', token)
    /** @type {'idle' | 'queued' | 'confirming' | 'talking' | 'answering' | 'over'} */
    this.phase = 'idle'
    /** @type {Match | null} */
    this.match = null
    /** The partner's questions, to be answered. @type {Question[]} */
    this.questions = []
    /** @type {{ score: number, questions: Question[] } | null} */
    this.search = null
    /** @type {{ message: string, code: string } | null} */
    this.fault = null
  }

  /** Look for a partner. @param {number} score @param {Question[]} questions up to 20, with ids of their own */
  find(score, questions) {
    this.search = { score, questions }
    if (this.state === 'open' && this.phase === 'idle') this.#find()
  }

  /** Be willing to talk to the partner that was found. */
  confirm() {
    return this.#emit('confirm', { match_id: this.match?.match_id })
  }

  /** Say something to the partner. Returns whether it was sent. @param {string} text */
  say(text) {
    return this.phase === 'talking' && this.#emit('message', { message: text })
  }

  /** Answer the partner's questions, all of them; again, to correct it. @param {Answer[]} answers */
  answer(answers) {
    return this.#emit('answers', { match_id: this.match?.match_id, answers })
  }

  _subprotocols() {
    return ['bearer', this.token]
  }

  _opened() {
    this.phase = 'idle'
    this._ready()
    if (this.search) this.#find()
  }

  _comesBack() {
    return this.phase === 'idle' || this.phase === 'queued'
  }

  /** @param {string} raw */
  _received(raw) {
    const { event, payload } = this.#read(raw)
    if (event === 'match') {
      this.match = payload
      this.phase = 'confirming'
    } else if (event === 'chat-start') {
      this.phase = 'talking'
    } else if (event === 'chat-stop') {
      this.questions = payload.questions
      this.phase = 'answering'
    } else if (event === 'answers') {
      this.phase = 'over'
    } else if (event === 'error') {
      this.fault = payload
    }
    this._tell(event, payload)
  }

  /** @param {number} code @param {string} reason */
  _end(code, reason) {
    this.phase = 'over'
    super._end(code, this.fault?.message ?? reason)
  }

  /** @param {string} raw */
  #read(raw) {
    const frame = JSON.parse(raw)
    this.onframe?.('in', raw, frame)
    return frame
  }

  #find() {
    if (this.#emit('find', this.search)) this.phase = 'queued'
  }

  /** @param {string} event @param {any} payload */
  #emit(event, payload) {
    const frame = { event, payload }
    return this._send(JSON.stringify(frame), frame)
  }
}

// -- support ---------------------------------------------------------------------------------------

/**
 * @typedef {object} SupportMessage
 * @property {number} message_id
 * @property {string} message_text
 * @property {string} invader_name the operator's name; `''` of a customer's message
 * @property {boolean} is_from_support
 * @property {number} created Unix seconds
 * @property {number} [user_id] for operators: whose conversation it belongs to
 * @property {string} [user_name]
 *
 * @typedef {object} Conversation for operators
 * @property {number} user_id the customer
 * @property {string} user_name
 * @property {SupportMessage} last_message
 * @property {number} unread
 * @property {number | null} assigned_to an operator
 */

/**
 * Customers talk to operators.
 *
 * Events: `ready` after each authentication ({messages, missed, first}: what the server shows of the conversation, for
 * operators of the open ones; what of it is new since the connection was lost; whether it is the first time), `message`
 * ({message}: each new one once, one's own too), `conversation` ({conversation}: to operators who have asked for
 * `conversations` since `ready`). An `Outgoing` here has the body {text, user_id}, its `done` is the SupportMessage.
 */
export class Support extends Connection {
  #ids = 0
  /** By id: texts, for a push may have a number. @type {Map<string, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #requests = new Map()
  /** @type {Set<number>} */
  #known = new Set()
  /** The newest message of each customer's conversation, one's own being that of `undefined`. @type {Map<number | undefined, number>} */
  #newest = new Map()
  #first = true

  /** @param {string | URL} url @param {string} token */
  constructor(url, token) {
    super(url, 'support', token)
  }

  /** Say something: as a customer; as an operator, to the customer `userId`. @param {string} text @param {number} [userId] */
  send(text, userId) {
    return this._post({ text, user_id: userId })
  }

  /**
   * Older messages, oldest first.
   *
   * @param {{ userId?: number, beforeId?: number, limit?: number }} [which] `userId`: operators only
   * @returns {Promise<SupportMessage[]>}
   */
  async history({ userId, beforeId, limit } = {}) {
    const params = [userId ?? null, beforeId ?? null, limit ?? null]
    /** @type {SupportMessage[]} */
    const messages = (await this.request('message.history', params)).messages ?? []
    for (const message of messages) this.#count(message)
    return messages
  }

  /**
   * For operators: conversations, most recent first. Changes of them are `conversation` events from then on.
   *
   * @param {{ beforeId?: number, limit?: number }} [which] `beforeId`: a message's id
   * @returns {Promise<Conversation[]>}
   */
  async conversations({ beforeId, limit } = {}) {
    return (await this.request('message.conversations', [beforeId ?? null, limit ?? null])).conversations
  }

  /** For operators: take a conversation. @param {number} userId @returns {Promise<Conversation>} */
  async assign(userId) {
    return (await this.request('message.assign', [userId])).conversation
  }

  /** For operators: give it back. @param {number} userId @returns {Promise<Conversation>} */
  async release(userId) {
    return (await this.request('message.release', [userId])).conversation
  }

  /** For operators: what is in it has been read. @param {number} userId @returns {Promise<Conversation>} */
  async seen(userId) {
    return (await this.request('message.seen', [userId])).conversation
  }

  /**
   * Any request. Rejected with a ProtocolError, or with ConnectionLost (ask again after `ready`).
   *
   * @param {string} method
   * @param {any[]} params
   * @returns {Promise<any>} the result
   */
  request(method, params) {
    return new Promise((resolve, reject) => {
      const frame = { method, params, id: `q${++this.#ids}` }
      this.#requests.set(frame.id, { resolve, reject })
      if (!this._send(JSON.stringify(frame), frame)) {
        this.#requests.delete(frame.id)
        reject(new ConnectionLost())
      }
    })
  }

  _opened() {
    this.request('message.auth', [this.token]).then(
      ({ messages }) => this.#enter(messages ?? []),
      (error) => {
        if (error instanceof ProtocolError) this._cut() // the database is away: again, later
      },
    )
  }

  _lost() {
    const requests = [...this.#requests.values()]
    this.#requests.clear()
    for (const { reject } of requests) reject(new ConnectionLost())
  }

  _probe() {
    this.request('message.history', [null, null, 1]).catch(() => {}) // an error is a sign of life too
    return true
  }

  /** @param {string} raw */
  _received(raw) {
    const frame = JSON.parse(raw)
    this.onframe?.('in', raw, frame)
    const waiting = this.#requests.get(frame.id)
    if (waiting) {
      this.#requests.delete(frame.id)
      if (frame.error) waiting.reject(new ProtocolError(frame.error.code, frame.error.message))
      else waiting.resolve(frame.result)
    } else if (frame.result?.message) {
      this.#add(frame.result.message)
    } else if (frame.result?.conversation) {
      this._tell('conversation', frame.result)
    }
  }

  /** @param {Outgoing} outgoing */
  _transmit(outgoing) {
    const { text, user_id: userId } = outgoing.body
    // Ids increase in a conversation. One that was never looked at has nothing newer than all that is known, but what comes.
    outgoing.after = this.#newest.get(userId) ?? Math.max(0, ...this.#newest.values())
    const [method, params] = userId === undefined ? ['message.send', [text]] : ['message.operatorSend', [text, userId]]
    this.request(method, params).then(
      ({ message }) => {
        this._stored(outgoing, message)
        this.#add(message)
      },
      (error) => {
        if (error instanceof ConnectionLost) return // it is looked for when there is a connection again
        if (error.code === 6 || error.code === 7) this._unsent(outgoing, error)
        else this._refused(outgoing, error)
      },
    )
  }

  /** @param {SupportMessage[]} messages */
  async #enter(messages) {
    const missed = this.#first ? [] : messages.filter(({ message_id: id }) => !this.#known.has(id))
    const first = this.#first
    this.#first = false
    for (const message of messages) this.#know(message)
    if (!(await this.#findUnacknowledged(missed))) return
    this._tell('ready', { messages, missed, first })
    this._ready()
  }

  /** What was sent and not acknowledged is there, or it is unsent. @param {SupportMessage[]} missed */
  async #findUnacknowledged(missed) {
    const lost = this._unacknowledged()
    let candidates = [...missed]
    try {
      for (const customer of new Set(lost.map(({ body }) => body.user_id).filter((id) => id !== undefined))) {
        candidates.push(...(await this.history({ userId: customer })))
      }
    } catch {
      return false // lost again
    }
    for (const outgoing of lost) {
      const { text, user_id: userId } = outgoing.body
      const at = candidates.findIndex(
        (each) =>
          each.message_id > outgoing.after &&
          each.message_text === text &&
          each.is_from_support === (userId !== undefined) &&
          each.user_id === userId,
      )
      if (at < 0) {
        this._unsent(outgoing)
        continue
      }
      const found = candidates[at]
      candidates = candidates.filter((each) => each.message_id !== found.message_id) // it answers for one
      this._stored(outgoing, found)
    }
    return true
  }

  /** @param {SupportMessage} message */
  #add(message) {
    if (this.#known.has(message.message_id)) return
    this.#know(message)
    this._tell('message', { message })
  }

  /** @param {SupportMessage} message */
  #know(message) {
    this.#known.add(message.message_id)
    this.#count(message)
  }

  /** @param {SupportMessage} message */
  #count({ message_id: id, user_id: userId }) {
    this.#newest.set(userId, Math.max(id, this.#newest.get(userId) ?? 0))
  }
}

// -- messenger -------------------------------------------------------------------------------------

/**
 * @typedef {object} Profile
 * @property {string} userId
 * @property {string} nickname
 * @property {string} avatar an address, or `''`
 * @property {string} language
 * @property {string} status
 * @property {string} lastOnline ISO 8601
 * @property {string} registerDate
 *
 * @typedef {{ message: string, sender: string, sendTime: string, messageId?: string }} RoomMessage
 * @typedef {{ messageId: string, sender: string, sendTime: string, receiver?: string, clientData: any }} Dialog
 */

/**
 * One room, private dialogs, and who is there.
 *
 * Events: `ready` ({users}: everybody online), `user` ({connectionStatus, userId, …}), `message` (a RoomMessage, one's own
 * too), `dialog` (a Dialog, once), `delivery` ({status, messageId, receiver, clientMessageId?}: what became of one's own).
 * `users` is who is online, by id. A dialog's Outgoing has the body {receiver, clientData} and is done when it was
 * delivered; it goes out again with the same `clientMessageId` until its outcome is known.
 */
export class Messenger extends Connection {
  /** @type {Record<string, { resolve: (data: any) => void, reject: (error: Error) => void }[]>} */
  #asked = { HISTORY: [], SAVE_AVATAR: [], PROFILE: [] }
  /** @type {Set<string>} */
  #dialogs = new Set()

  /** @param {string | URL} url @param {string} token */
  constructor(url, token) {
    super(url, 'messenger', token)
    /** @type {Map<string, Profile>} */
    this.users = new Map()
    /** One's own id, if the token tells it. */
    this.userId = userIdOf(token)
  }

  /** Say something in the room. Its `done` is what comes back of it. @param {string} message */
  say(message) {
    return this._post({ message })
  }

  /** Say something to one user. @param {string} receiver a user's id @param {any} clientData any JSON */
  dialog(receiver, clientData) {
    return this._post({ receiver, clientData })
  }

  /**
   * What was said before, oldest first: in the room, or with `peer`.
   *
   * @param {{ peer?: string, before?: string, limit?: number }} [which]
   * @returns {Promise<(RoomMessage | Dialog)[]>}
   */
  async history(which = {}) {
    return (await this.#ask('HISTORY', which)).messages
  }

  /** Change one's own profile. @param {{ nickname?: string, language?: string, status?: string }} changes */
  async changeProfile(changes) {
    await this.#ask('PROFILE', changes)
  }

  /** @param {string} imageBase64 a PNG, JPEG, GIF or WebP picture; a `data:` address will do */
  async saveAvatar(imageBase64) {
    await this.#ask('SAVE_AVATAR', { imageBase64 })
  }

  _opened() {
    this.#emit({ type: 'AUTH_MESSAGE', serverData: { token: this.token } })
  }

  _lost() {
    for (const type of Object.keys(this.#asked)) {
      for (const { reject } of this.#asked[type].splice(0)) reject(new ConnectionLost())
    }
  }

  _probe() {
    this.history({ limit: 1 }).catch(() => {})
    return true
  }

  /** @param {Outgoing} outgoing */
  _transmit({ id, body }) {
    if (body.receiver === undefined) this.#emit({ type: 'CHAT_MESSAGE', serverData: body })
    else {
      const { receiver, clientData } = body
      this.#emit({ type: 'DIALOG_MESSAGE', clientData, serverData: { receiver, clientMessageId: id } })
    }
  }

  /** @param {string} raw */
  _received(raw) {
    const frame = JSON.parse(raw)
    this.onframe?.('in', raw, frame)
    const { type, status, serverData, clientData, error } = frame
    if (type === 'AUTH_MESSAGE') {
      if (status === 'SUCCESS') this.#enter(serverData.userList)
      else this._end(error.errorCode === '1' ? 4409 : NOT_AUTHENTICATED, error.message)
    } else if (type === 'USER_CONNECTION_MESSAGE') {
      const { connectionStatus, ...profile } = serverData
      if (connectionStatus === 'CONNECT') this.users.set(profile.userId, profile)
      else this.users.delete(profile.userId)
      this._tell('user', serverData)
    } else if (type === 'CHAT_MESSAGE') {
      this.#heard(serverData)
      this._tell('message', serverData)
    } else if (type === 'DIALOG_MESSAGE') {
      this.#dialog({ ...serverData, clientData })
    } else if (type === 'DELIVERY_MESSAGE') {
      this.#delivered(status, serverData)
    } else if (this.#asked[type]?.length) {
      const { resolve, reject } = /** @type {any} */ (this.#asked[type].shift())
      if (status === 'SUCCESS') resolve(serverData)
      else reject(new ProtocolError(error.errorCode, error.message))
    }
  }

  /** @param {Profile[]} users */
  #enter(users) {
    this.users = new Map(users.map((user) => [user.userId, user]))
    for (const outgoing of this._unacknowledged()) {
      // A dialog has an id of its own, by which it is known again. What was said to the room has not.
      if (outgoing.body.receiver === undefined) this._unsent(outgoing)
      else this._mark(outgoing, 'queued')
    }
    this._tell('ready', { users })
    this._ready()
  }

  /** @param {RoomMessage} said */
  #heard(said) {
    const own = this.userId === null || this.userId === said.sender
    const outgoing = this.outbox.find((each) => own && each.state === 'sent' && each.body.message === said.message)
    if (outgoing) this._stored(outgoing, said)
  }

  /** @param {Dialog} dialog */
  #dialog(dialog) {
    if (this.#dialogs.has(dialog.messageId)) return // it comes again until the server knows that it came
    this.#dialogs.add(dialog.messageId)
    this._tell('dialog', dialog)
  }

  /** @param {'SUCCESS' | 'ERROR'} status @param {any} outcome */
  #delivered(status, outcome) {
    const outgoing = this.outbox.find(({ id }) => id === outcome.clientMessageId)
    if (outgoing && status === 'SUCCESS') this._stored(outgoing, outcome)
    else if (outgoing) this._refused(outgoing, new ProtocolError('not-delivered', 'It can’t be delivered.'))
    this._tell('delivery', { status, ...outcome })
  }

  /** @param {string} type @param {any} serverData @returns {Promise<any>} */
  #ask(type, serverData) {
    return new Promise((resolve, reject) => {
      if (this.#emit({ type, serverData })) this.#asked[type].push({ resolve, reject })
      else reject(new ConnectionLost())
    })
  }

  /** @param {any} frame */
  #emit(frame) {
    return this._send(JSON.stringify(frame), frame)
  }
}

// -- market ----------------------------------------------------------------------------------------

/** The opcodes of market, by name. */
export const OPCODES = Object.freeze({
  ERROR: 0x00,
  PING: 0x01,
  PONG: 0x02,
  ASK_CONVERSATIONS: 0x05,
  RETURN_CONVERSATIONS: 0x06,
  CREATE_MSG: 0x07,
  STATUS_MSG: 0x08,
  OPENED_CONVERSATION: 0x09,
  ALERT_NEW_MSG: 0x10,
  MSG_SEEN: 0x11,
  UPDATE_CONVERSATION_DATAS: 0xe0,
  SERVICE_CREATED: 0xe1,
  NOTE_SUBMITTED: 0xe2,
  LITIGE_CREATED: 0xe3,
  SERVICE_TERMINATED: 0xe4,
  PRICE_EDITED: 0xe5,
  NEGOTIATION_END: 0xe6,
  REPORT_CONVERSATIONS: 0xfe,
  REPORT_MSG: 0xff,
})

/** The body of a message that may be said again: `{text}` and where to. @typedef {{ text: string, conversation?: number, to?: number }} MarketSaying */

/**
 * @typedef {object} MarketMessage
 * @property {number} id
 * @property {{ id: number, username: string }} sender `{id: 0, username: 'system'}` of a step in a service
 * @property {string} content
 * @property {boolean} seen
 * @property {number} created Unix milliseconds
 * @property {number} conversation
 *
 * @typedef {object} Service
 * @property {number} id
 * @property {string} title
 * @property {string} category
 * @property {string} price a decimal with two places
 * @property {number} client who pays
 * @property {number} recipient
 * @property {'negotiating' | 'agreed' | 'declined' | 'terminated' | 'disputed'} status
 * @property {any[]} notes
 * @property {number} createdAt
 *
 * @typedef {object} MarketConversation
 * @property {number} id
 * @property {{ id: number, username: string }} with
 * @property {number} last
 * @property {boolean} hasNewMessage
 * @property {MarketMessage[]} messages oldest first
 * @property {Service[]} services
 */

/**
 * Conversations about a service, in opcode packets; `form` is `text` or `binary`.
 *
 * Events: `conversations` ({conversations}), `message` ({conversation, message}: each new one once, one's own too), `seen`
 * ({conversation, message}: ids), `services` ({conversation, services}), `fault` ({opcode, code, message}). A MarketSaying's
 * Outgoing is done with the MarketMessage.
 */
export class Market extends Connection {
  /** @type {{ resolve: (conversations: any) => void, reject: (error: Error) => void }[]} */
  #asked = []
  /** @type {Set<number>} */
  #known = new Set()
  #lastPing = 0
  #gap = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence

  /** @param {string | URL} url @param {string} token @param {{ form?: 'text' | 'binary' }} [options] */
  constructor(url, token, { form = 'text' } = {}) {
    super(url, 'market', token)
    this.form = form
  }

  /**
   * One's conversations, newest first.
   *
   * @param {{ limit?: number, before?: number }} [which] `before`: a conversation's id
   * @returns {Promise<MarketConversation[]>}
   */
  conversations(which = {}) {
    return new Promise((resolve, reject) => {
      if (this.packet(OPCODES.ASK_CONVERSATIONS, which)) this.#asked.push({ resolve, reject })
      else reject(new ConnectionLost())
    })
  }

  /** Say something in a conversation, or to a user: that opens one. @param {{ conversation: number } | { to: number }} where @param {string} text */
  say(where, text) {
    return this._post({ ...where, text })
  }

  /** What is in a conversation has been seen. @param {number} conversation */
  opened(conversation) {
    return this.packet(OPCODES.OPENED_CONVERSATION, { conversation })
  }

  /** @param {number} conversation @param {{ title?: string, category?: string, price: string | number, client?: number, recipient?: number }} service */
  createService(conversation, service) {
    return this.packet(OPCODES.SERVICE_CREATED, { conversation, service })
  }

  /** @param {number} conversation @param {number} service @param {string | number} price */
  editPrice(conversation, service, price) {
    return this.packet(OPCODES.PRICE_EDITED, { conversation, service, price })
  }

  /** @param {number} conversation @param {number} service @param {boolean} accepted */
  endNegotiation(conversation, service, accepted = true) {
    return this.packet(OPCODES.NEGOTIATION_END, { conversation, service, accepted })
  }

  /** @param {number} conversation @param {number} service */
  terminate(conversation, service) {
    return this.packet(OPCODES.SERVICE_TERMINATED, { conversation, service })
  }

  /** @param {number} conversation @param {number} service @param {number} grade 0 to 5 @param {string} [comment] */
  submitNote(conversation, service, grade, comment = '') {
    return this.packet(OPCODES.NOTE_SUBMITTED, { conversation, service, grade, comment })
  }

  /** @param {number} conversation @param {number} service @param {string} [reason] */
  dispute(conversation, service, reason = '') {
    return this.packet(OPCODES.LITIGE_CREATED, { conversation, service, reason })
  }

  /** Tell the administrators. @param {{ conversation: number } | { message: number }} what @param {string} [reason] */
  report(what, reason = '') {
    return this.packet('message' in what ? OPCODES.REPORT_MSG : OPCODES.REPORT_CONVERSATIONS, { ...what, reason })
  }

  /** Send any packet. Returns whether there was a connection for it. @param {number} opcode @param {any} [body] */
  packet(opcode, body) {
    const decoded = { opcode, body }
    if (this.form === 'text') return this._send(JSON.stringify({ type: opcode, data: body }), decoded)
    const json = body === undefined ? new Uint8Array() : new TextEncoder().encode(JSON.stringify(body))
    const packet = new Uint8Array(json.length + 1)
    packet[0] = opcode
    packet.set(json, 1)
    return this._send(packet, decoded)
  }

  _subprotocols() {
    return [this.form === 'text' ? 'market.json' : 'market.binary', 'bearer', this.token]
  }

  _opened() {
    // A message has an id of its own, by which the server knows it again.
    for (const outgoing of this._unacknowledged()) this._mark(outgoing, 'queued')
    this._ready()
  }

  _lost() {
    clearTimeout(this.#silence)
    this.#lastPing = this.#gap = 0
    for (const { reject } of this.#asked.splice(0)) reject(new ConnectionLost())
  }

  /** @param {Outgoing} outgoing */
  _transmit({ id, body: { text, ...where } }) {
    this.packet(OPCODES.CREATE_MSG, { id, msg: text, ...where })
  }

  async _tokenRefused() {
    const headers = { Authorization: `Bearer ${this.token}` }
    const address = httpAddress(this.url, 'v1/reports')
    return (await fetch(address, { headers, credentials: 'omit', cache: 'no-store' })).status === 401
  }

  /** @param {string | ArrayBuffer} raw */
  _received(raw) {
    const { opcode, body } = unpack(raw)
    this.onframe?.('in', raw, { opcode, body })
    if (opcode === OPCODES.PING) {
      this.packet(OPCODES.PONG, this.form === 'text' ? 'pong' : undefined)
      this.#listen()
    } else if (opcode === OPCODES.RETURN_CONVERSATIONS) {
      const conversations = Array.isArray(body) ? body : body.conversations
      for (const { messages } of conversations) for (const { id } of messages) this.#known.add(id)
      this.#asked.shift()?.resolve(conversations)
      this._tell('conversations', { conversations })
    } else if (opcode === OPCODES.STATUS_MSG) {
      this.#answered(body)
    } else if (opcode === OPCODES.ALERT_NEW_MSG) {
      this.#add(body.conversation, body.json)
    } else if (opcode === OPCODES.MSG_SEEN) {
      this._tell('seen', body)
    } else if (opcode === OPCODES.UPDATE_CONVERSATION_DATAS) {
      this._tell('services', body)
    } else if (opcode === OPCODES.ERROR) {
      if (body.opcode === OPCODES.ASK_CONVERSATIONS) this.#asked.shift()?.reject(new ProtocolError(body.code, body.message))
      this._tell('fault', body)
    }
  }

  /** @param {any} status */
  #answered({ sent, conversation, json, fakeId, error }) {
    const outgoing = this.outbox.find(({ id }) => id === fakeId)
    if (outgoing && sent) this._stored(outgoing, json)
    else if (outgoing && error === 'unavailable') this._unsent(outgoing, new ProtocolError(error, 'Try again later.'))
    else if (outgoing) this._refused(outgoing, new ProtocolError(error, 'It can’t be sent.'))
    if (sent) this.#add(conversation, json)
  }

  /** @param {number} conversation @param {MarketMessage} message */
  #add(conversation, message) {
    if (this.#known.has(message.id)) return
    this.#known.add(message.id)
    this._tell('message', { conversation, message })
  }

  /** The server asks at its own interval. When it has not asked for several, the connection is dead. */
  #listen() {
    const now = Date.now()
    if (this.#lastPing) this.#gap = Math.max(this.#gap, now - this.#lastPing)
    this.#lastPing = now
    clearTimeout(this.#silence)
    if (this.#gap) this.#silence = setTimeout(() => this._cut(), 4 * this.#gap + 10_000)
  }
}

/** @param {string | ArrayBuffer} raw @returns {{ opcode: number, body: any }} */
function unpack(raw) {
  if (typeof raw === 'string') {
    const { type, data } = JSON.parse(raw)
    return { opcode: type, body: data }
  }
  const opcode = new DataView(raw).getUint8(0)
  return { opcode, body: raw.byteLength > 1 ? JSON.parse(new TextDecoder().decode(raw.slice(1))) : undefined }
}

// -- workspace -------------------------------------------------------------------------------------

/**
 * @typedef {object} Channel
 * @property {string} id
 * @property {string} name
 * @property {boolean} is_private
 * @property {string} workspace_id
 * @property {string} creator_id
 * @property {string} created_at ISO 8601
 *
 * @typedef {{ id: string, channelId: string, userId: string, text: string, createdAt: string }} ChannelMessage
 * @typedef {'online' | 'idle' | 'offline'} OnlineStatus
 * @typedef {{ id: string, name: string, onlineStatus: OnlineStatus }} Member
 */

/**
 * Channels over Socket.IO (Engine.IO 4, by WebSocket alone).
 *
 * Events: `ready` ({userId, recovered}; where it is not recovered, what was missed has to be read back), and the
 * server's own by their names: `channel-created`, `channel-updated`, `channel-deleted`, `message-created` (a ChannelMessage),
 * `user-joined`, `user-leaved-workspace`, `online-status-updated`, `socket-api-error` ({event, message}), and what a back end
 * publishes. `event` ({name, payload}) is each of them. An Outgoing has the body {channelId, text}, is done with the
 * ChannelMessage, and goes out again with the same `clientId` until it is acknowledged.
 */
export class Workspace extends Connection {
  #acks = 0
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #requests = new Map()
  /** What the server gives back what was missed for. @type {{ pid: string, offset?: string } | null} */
  #place = null
  #isInside = false
  #patience = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence
  #reason = ''

  /** @param {string | URL} url @param {string} token @param {{ workspace?: string, onlineStatus?: OnlineStatus }} [options] */
  constructor(url, token, { workspace = 'default', onlineStatus = 'online' } = {}) {
    super(url, 'socket.io/?EIO=4&transport=websocket', token)
    this.workspace = workspace
    this.onlineStatus = onlineStatus
    /** One's own id, once it is open. @type {string | null} */
    this.userId = null
  }

  /** Say something in a channel. @param {string} channelId @param {string} text */
  send(channelId, text) {
    return this._post({ channelId, text })
  }

  /** @param {string} name 3 to 100 characters @param {{ isPrivate?: boolean }} [options] @returns {Promise<Channel>} */
  createChannel(name, { isPrivate = false } = {}) {
    return this.emit('channel-create', { name, isPrivate, workspaceId: this.workspace })
  }

  /** How present one wants to look. @param {OnlineStatus} onlineStatus */
  setStatus(onlineStatus) {
    this.onlineStatus = onlineStatus
    return this.emit('online-status', { onlineStatus })
  }

  /** Newest first; `next` is the next `before`. @param {{ before?: string, limit?: number }} [which] @returns {Promise<{ channels: Channel[], next: string | null }>} */
  channels(which = {}) {
    return this.http('GET', 'channels', which)
  }

  /** The newest, oldest first. @param {string} channelId @param {{ before?: string, limit?: number }} [which] @returns {Promise<{ messages: ChannelMessage[], next: string | null }>} */
  messages(channelId, which = {}) {
    return this.http('GET', `channels/${channelId}/messages`, which)
  }

  /** @param {{ after?: string, limit?: number }} [which] @returns {Promise<{ members: Member[], next: string | null }>} */
  members(which = {}) {
    return this.http('GET', 'members', which)
  }

  /**
   * Ask the HTTP side, below this workspace.
   *
   * @param {string} method
   * @param {string} path
   * @param {Record<string, any>} [more] the query of GET, the body of others
   * @returns {Promise<any>} the JSON of the answer; null if there is none
   * @throws {ProtocolError}
   */
  async http(method, path, more = {}) {
    const address = httpAddress(this.url, `v1/workspaces/${this.workspace}/${path}`)
    const given = Object.entries(more).filter(([, value]) => value !== undefined && value !== null)
    const isRead = method === 'GET'
    if (isRead) for (const [name, value] of given) address.searchParams.set(name, String(value))
    const answer = await fetch(address, {
      method,
      headers: { Authorization: `Bearer ${this.token}` },
      body: isRead || !given.length ? undefined : JSON.stringify(Object.fromEntries(given)),
      credentials: 'omit',
    })
    const text = await answer.text()
    const body = text ? JSON.parse(text) : null
    if (!answer.ok) throw new ProtocolError(body?.error?.code ?? answer.status, body?.error?.message ?? answer.statusText)
    return body
  }

  /**
   * Any event of one's own.
   *
   * @param {string} event
   * @param {any} payload
   * @returns {Promise<any>} what it is acknowledged with; rejected with a ProtocolError, or with ConnectionLost
   */
  emit(event, payload) {
    return new Promise((resolve, reject) => {
      const id = this.#acks++
      this.#requests.set(id, { resolve, reject })
      if (!this._send(`42${id}${JSON.stringify([event, payload])}`, { event, payload, id })) {
        this.#requests.delete(id)
        reject(new ConnectionLost())
      }
    })
  }

  _opened() {} // the server speaks first

  _lost() {
    clearTimeout(this.#silence)
    if (!this.#isInside) this.#place = null // to come back there would be to come back as nobody
    this.#isInside = false
    const requests = [...this.#requests.values()]
    this.#requests.clear()
    for (const { reject } of requests) reject(new ConnectionLost())
  }

  /** @param {Outgoing} outgoing */
  _transmit(outgoing) {
    this.emit('message-send', { ...outgoing.body, clientId: outgoing.id }).then(
      (message) => this._stored(outgoing, message),
      (error) => {
        if (error instanceof ConnectionLost) return // it goes out again
        if (/^(Too many|Temporarily|Not authenticated)/.test(error.message)) this._unsent(outgoing, error)
        else this._refused(outgoing, error)
      },
    )
  }

  /** @param {string} raw a packet of Engine.IO: `0` open, `1` close, `2` ping, `4` message, which is a packet of Socket.IO */
  _received(raw) {
    this.#listen()
    const [engine, kind] = raw
    if (engine === '0') {
      const { pingInterval, pingTimeout } = JSON.parse(raw.slice(1))
      this.#tellIn(raw, { open: true })
      this.#patience = pingInterval + pingTimeout
      this.#listen()
      const place = this.#place
      this._send(place ? `40${JSON.stringify(place)}` : '40', { connect: place ?? {} })
    } else if (engine === '2') {
      this.#tellIn(raw, { ping: true })
      this._send('3', { pong: true })
    } else if (engine === '4' && kind === '0') {
      const answer = JSON.parse(raw.slice(2))
      this.#tellIn(raw, { connected: answer })
      this.#connected(answer)
    } else if (engine === '4' && kind === '1') {
      this.#tellIn(raw, { disconnected: true })
      this.#place = null
      this._end(/token/i.test(this.#reason) ? NOT_AUTHENTICATED : 1000, this.#reason || 'The server has said goodbye.')
    } else if (engine === '4' && kind === '4') {
      const refused = JSON.parse(raw.slice(2))
      this.#tellIn(raw, { refused })
      this._end(FORBIDDEN, refused.message)
    } else if (engine === '4' && (kind === '2' || kind === '3')) {
      const [, id, json] = /** @type {RegExpExecArray} */ (/^(\d*)(.*)$/s.exec(raw.slice(2)))
      const list = JSON.parse(json)
      if (kind === '2') this.#happened(raw, list)
      else this.#acknowledged(raw, Number(id), list[0])
    } else {
      this.#tellIn(raw, {})
    }
  }

  /** @param {{ sid: string, pid?: string }} answer */
  #connected({ pid }) {
    const recovered = pid !== undefined && pid === this.#place?.pid
    if (recovered) {
      this.#enter(true)
      return
    }
    this.#place = pid === undefined ? null : { pid }
    this.emit('auth', { data: this.token, onlineStatus: this.onlineStatus }).then(
      ({ userId }) => {
        this.userId = userId
        this.#enter(false)
      },
      (error) => {
        if (error instanceof ConnectionLost) return
        if (error.message === 'Invalid access token') this._end(NOT_AUTHENTICATED, error.message)
        else this._cut() // the database is away: again, later
      },
    )
  }

  /** @param {boolean} recovered */
  #enter(recovered) {
    this.#isInside = true
    // A message has an id of its own, by which the server knows it again.
    for (const outgoing of this._unacknowledged()) this._mark(outgoing, 'queued')
    this._tell('ready', { userId: this.userId, recovered })
    this._ready()
  }

  /** @param {string} raw @param {any[]} list */
  #happened(raw, [name, ...payloads]) {
    // The last of several is the event's place in the order of all, for who comes back.
    const offset = payloads.length > 1 ? payloads.at(-1) : undefined
    if (this.#place && typeof offset === 'string') this.#place = { ...this.#place, offset }
    const [payload] = payloads
    this.#tellIn(raw, { event: name, payload })
    if (name === 'socket-api-error') this.#reason = payload.message
    this._tell(name, payload)
    this._tell('event', { name, payload })
  }

  /** @param {string} raw @param {number} id @param {any} result */
  #acknowledged(raw, id, result) {
    this.#tellIn(raw, { acknowledged: id, result })
    const waiting = this.#requests.get(id)
    this.#requests.delete(id)
    if (typeof result?.error === 'string') waiting?.reject(new ProtocolError('refused', result.error))
    else waiting?.resolve(result)
  }

  /** @param {string} raw @param {any} decoded */
  #tellIn(raw, decoded) {
    this.onframe?.('in', raw, decoded)
  }

  /** The server pings; if it does not, the connection is dead. */
  #listen() {
    clearTimeout(this.#silence)
    if (this.#patience) this.#silence = setTimeout(() => this._cut(), this.#patience)
  }
}

// -- addresses -------------------------------------------------------------------------------------

/** @param {string | URL} url @param {string} path */
function httpAddress(url, path) {
  const base = new URL(url, globalThis.location?.href)
  base.protocol = base.protocol.replace(/^ws/, 'http')
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  return new URL(path, base)
}

/** @param {URL} url @param {string} path */
function webSocketAddress(url, path) {
  const address = httpAddress(url, path)
  address.protocol = address.protocol.replace(/^http/, 'ws')
  return address
}

/** Not `crypto.randomUUID`, which pages without TLS do not have. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
