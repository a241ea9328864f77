/**
 * One of the two people of a pane: who it is, how the connection is, and how to lose it.
 *
 * A protocol's module has a class of this for what is the protocol's own; the page has a template for it.
 */

import { copy, find, setOptions } from './elements.js'
import { ON_THE_WAY } from './log.js'

/** @typedef {import('../client.js').Connection} Connection */
/** @typedef {import('../client.js').StateDetail} StateDetail */
/** @typedef {import('../client.js').Outgoing} Outgoing */
/** @typedef {import('./log.js').Log} Log */
/** @typedef {import('./pane.js').Pane} Pane */

const NOT_AUTHENTICATED = 4401
const SOMEBODY_ELSE = '' // the value of that choice

/** @template {Connection} [T=Connection] */
export class Side {
  /** @type {T | null} */
  connection = null
  name = ''
  /** Counts who was seated: what is late is for nobody. */
  #turn = 0
  #token = ''
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #counting

  /** @param {Pane} pane @param {HTMLElement} root a copy of the template `seat` */
  constructor(pane, root) {
    this.pane = pane
    this.root = root
    /** @type {HTMLSelectElement} */
    this.seat = find(root, '.who')
    find(root, '.body').append(copy(`${pane.protocol}-side`))
    this.seat.addEventListener('change', () => this.#seated())
    this.does('cut', () => this.#cut())
    this.does('leave', () => (this.isAway ? this.#comeBack() : this.connection?.close()))
    this.does('again', () => this.connection?.retryNow())
    pane.people.addEventListener('changed', () => this.#drawNames())
    this.#drawNames()
    this.#drawState({ state: 'idle' })
  }

  // -- for the protocols. What they have of their own:

  /** @param {string} _token @returns {T} */
  make(_token) {
    throw new Error('which protocol?')
  }

  /** Hear what a new connection tells. @param {T} _connection */
  listen(_connection) {}

  /** Somebody else is seated: forget what was shown. */
  reset() {}

  /** The connection is as it was not before. @param {StateDetail} _detail */
  stateChanged(_detail) {}

  // What they use:

  get other() {
    return /** @type {Side<T>} */ (this.pane.sides.find((each) => each !== this))
  }

  get isAway() {
    return !this.connection || this.connection.state === 'idle' || this.connection.state === 'ended'
  }

  /** @param {string} what the `data-do` of a control @param {() => void} act */
  does(what, act) {
    for (const each of this.root.querySelectorAll(`[data-do="${what}"]`)) each.addEventListener('click', act)
  }

  /** Hear an event, as long as it is this connection that counts. @param {T} connection @param {string} name @param {(detail: any) => void} act */
  hear(connection, name, act) {
    connection.addEventListener(name, (event) => {
      if (connection === this.connection) act(/** @type {CustomEvent} */ (event).detail)
    })
  }

  /** Tell what could not be done; '' takes it away. @param {string} text */
  fault(text) {
    const notice = find(this.root, '.refused')
    notice.textContent = text
    notice.hidden = !text
  }

  /** Wait for something that may be refused, and tell so. @template R @param {Promise<R>} asked @returns {Promise<R | undefined>} */
  async told(asked) {
    this.fault('')
    try {
      return await asked
    } catch (error) {
      this.fault(error instanceof Error ? error.message : String(error))
    }
  }

  /** Draw something that the server doesn't have yet. @param {Log} log @param {Outgoing} outgoing @param {string} text @param {Partial<import('./log.js').Line>} [more] */
  drawPending(log, outgoing, text, more = {}) {
    const { state, error } = outgoing
    const note = ON_THE_WAY[state] + (error ? `: ${error.message}` : '')
    const again = state === 'unsent' ? () => this.connection?.retry(outgoing) : undefined
    log.put(pendingKey(outgoing), { text, own: true, unsent: true, note, again, ...more })
  }

  /** Seat somebody, on a new connection. @param {string} name */
  async sit(name) {
    const turn = ++this.#turn
    this.connection?.close()
    this.connection = null
    this.#token = ''
    this.name = name
    this.#drawNames()
    this.root.setAttribute('aria-label', `${name}’s side`)
    find(this.root, '.face').textContent = name.slice(0, 1).toUpperCase()
    this.reset()
    this.fault('')
    this.#drawState({ state: 'connecting' })
    let token
    try {
      token = await this.pane.people.token(name)
    } catch (error) {
      if (turn !== this.#turn) return
      this.#drawState({ state: 'ended', reason: 'Not signed in' })
      this.fault(error instanceof Error ? `${name} can’t sign in. ${error.message}` : '')
      return
    }
    if (turn !== this.#turn) return
    if (token === null) {
      this.#drawState({ state: 'ended', reason: 'Not signed in' })
      this.#askWho(name)
      return
    }
    this.#token = token
    const connection = (this.connection = this.make(token))
    connection.onframe = (direction, raw, decoded) => this.wired(direction, raw, decoded)
    this.hear(connection, 'state', (detail) => {
      if (detail.code === NOT_AUTHENTICATED) this.pane.people.forget(name, token)
      this.#drawState(detail)
      this.stateChanged(detail)
    })
    this.listen(connection)
    connection.connect()
  }

  /** Put a frame on the pane's wire. @param {'in' | 'out'} direction @param {string | ArrayBuffer} raw @param {any} decoded */
  wired(direction, raw, decoded) {
    const { name, isHeartbeat = false } = this.pane.describe(direction, decoded)
    this.pane.wire.add({ who: this.name, direction, raw, decoded, name, isHeartbeat })
  }

  // -- inside

  #seated() {
    if (this.seat.value === SOMEBODY_ELSE) this.#askWho('')
    else this.sit(this.seat.value)
  }

  /** @param {string} name */
  async #askWho(name) {
    const found = await this.pane.askWho(name)
    if (found) await this.sit(found)
    else this.#drawNames()
  }

  #drawNames() {
    const { names } = this.pane.people
    const listed = this.name && !names.includes(this.name) ? [...names, this.name] : names
    setOptions(this.seat, [...listed.map((each) => /** @type {[string, string]} */ ([each, each])), [SOMEBODY_ELSE, 'Somebody else…']])
    if (this.name) this.seat.value = this.name
  }

  #cut() {
    // As if the network had: the class has no name for what nobody should want.
    const connection = /** @type {any} */ (this.connection)
    if (connection && !this.isAway) connection._cut()
  }

  #comeBack() {
    // A talk is over with its connection, and a token that was refused is refused again: begin anew.
    if (this.pane.protocol !== 'talk' && this.pane.people.holds(this.name, this.#token)) this.connection?.connect()
    else this.sit(this.name)
  }

  /** @param {StateDetail} detail */
  #drawState({ state, seconds = 0, reason }) {
    const texts = { idle: 'Not connected', connecting: 'Connecting…', open: 'Connected', waiting: 'Lost', ended: reason || 'Disconnected' }
    const line = find(this.root, '.state')
    line.dataset.state = state
    line.textContent = texts[state]
    clearInterval(this.#counting)
    const countdown = find(this.root, '.countdown')
    countdown.textContent = ''
    find(this.root, '.again').hidden = state !== 'waiting'
    if (state === 'waiting') {
      const until = Date.now() + seconds * 1000
      const show = () => (countdown.textContent = `again in ${Math.max(0, (until - Date.now()) / 1000).toFixed(1)} s`)
      show()
      this.#counting = setInterval(show, 100)
    }
    const isAway = state === 'idle' || state === 'ended'
    find(this.root, '[data-do="cut"]').hidden = isAway
    find(this.root, '[data-do="leave"]').textContent = isAway ? 'Come back' : 'Leave'
  }
}

/** The key of the line of something that the server doesn't have yet. @param {Outgoing} outgoing */
export function pendingKey({ id }) {
  return `on its way ${id}`
}
