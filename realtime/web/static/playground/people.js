/**
 * Who can be seated: people who have signed in here, and the demo accounts, who are signed in when they are needed.
 *
 * Tokens are kept in the tab's own storage, so a reload loses nobody.
 */

import { signIn, userIdOf } from '../client.js'

const KEPT = 'realtime.playground.tokens'
const DEMO = ['alice', 'bob', 'carol', 'operator'] // each with its name as password

/** Tells `changed` when somebody has come. */
export class People extends EventTarget {
  /** @type {Map<string, string>} */
  #tokens

  /** @param {URL} server @param {boolean} demo whether the server has the demo accounts */
  constructor(server, demo) {
    super()
    this.server = server
    this.demo = demo
    this.#tokens = new Map(Object.entries(JSON.parse(sessionStorage.getItem(KEPT) ?? '{}')))
  }

  /** Everybody who can be seated, without being asked for a password. */
  get names() {
    return [...new Set([...(this.demo ? DEMO : []), ...this.#tokens.keys()])]
  }

  /** Whether anybody has signed in. */
  get isAnybody() {
    return this.#tokens.size > 0
  }

  /** Who sits where at first. @param {string} protocol @returns {[string, string]} */
  seats(protocol) {
    if (this.demo) return protocol === 'support' ? ['alice', 'operator'] : ['alice', 'bob']
    const [first, second = first] = this.names
    return [first, second]
  }

  /** @param {string} name @returns {string | null} the id, if somebody of this name has signed in */
  idOf(name) {
    const token = this.#tokens.get(name)
    return token ? userIdOf(token) : null
  }

  /** A token of somebody's; null if a password has to be asked for first. @param {string} name @returns {Promise<string | null>} */
  async token(name) {
    const kept = this.#tokens.get(name)
    if (kept) return kept
    return this.demo && DEMO.includes(name) ? this.signIn(name, name) : null
  }

  /** @param {string} name @param {string} password */
  async signIn(name, password) {
    const token = await signIn(this.server, name, password)
    this.#tokens.set(name, token)
    this.#keep()
    return token
  }

  /** Whether this is a token of somebody's, as far as is known. @param {string} name @param {string} token */
  holds(name, token) {
    return this.#tokens.get(name) === token
  }

  /** A token is not good any more. @param {string} name @param {string} token */
  forget(name, token) {
    if (!this.holds(name, token)) return
    this.#tokens.delete(name)
    this.#keep()
  }

  /** What is shown of a frame: no token is. @param {string} text */
  mask(text) {
    for (const token of this.#tokens.values()) text = text.replaceAll(token, '(the token)')
    return text.replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, '(a token)') // one that is not good any more, too
  }

  /** Forget everybody. */
  leave() {
    sessionStorage.removeItem(KEPT)
  }

  #keep() {
    sessionStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(this.#tokens)))
    this.dispatchEvent(new Event('changed'))
  }
}
