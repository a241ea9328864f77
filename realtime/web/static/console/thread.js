/**
 * One conversation: what was said, older messages as one scrolls up, new ones as they come, and what is on its way.
 *
 * Whoever looks at the newest stays with it; whoever reads what is older is left there, and told that there is more.
 * What was said and not acknowledged stands below the rest until the server has it, or is sent again by hand.
 */

import { clock, day, dayOf, setTime } from './times.js'

/** @typedef {import('../client.js').SupportMessage} SupportMessage */
/** @typedef {import('../client.js').Outgoing} Outgoing */

const PAGE = 60
const NEAR = 80 // CSS pixels from an end of the log that count as being there

const ON_THE_WAY = { queued: 'waits for the connection', sent: 'being sent', unsent: 'not sent', stored: '', refused: 'not sent' }

export class Thread {
  /** By id, in order. @type {Map<number, HTMLElement>} */
  #said = new Map()
  #oldest = Infinity
  #isComplete = false
  #isLoading = false
  /** Counts who is open: an answer to an earlier question is for nobody. */
  #turn = 0

  /**
   * @param {object} page
   * @param {HTMLElement} page.log
   * @param {HTMLButtonElement} page.latest
   * @param {HTMLTemplateElement} page.said
   * @param {HTMLTemplateElement} page.day
   * @param {object} desk
   * @param {(customer: number, before?: number, limit?: number) => Promise<SupportMessage[]>} desk.history
   * @param {(customer: number) => Outgoing[]} desk.outbox what the server doesn't have yet
   * @param {(outgoing: Outgoing) => void} desk.retry
   * @param {(outgoing: Outgoing) => void} desk.discard
   * @param {() => void} desk.read the newest is being looked at
   */
  constructor(page, desk) {
    this.page = page
    this.desk = desk
    /** Who is open. @type {number | null} */
    this.customer = null
    page.log.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    page.latest.addEventListener('click', () => {
      this.#toEnd()
      page.log.focus()
    })
  }

  get #isAtEnd() {
    const { log } = this.page
    return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR
  }

  /** Show another customer's. @param {number | null} customer */
  async open(customer) {
    this.customer = customer
    this.#turn++
    this.#said.clear()
    this.#oldest = Infinity
    this.#isComplete = false
    this.#isLoading = false
    this.page.log.replaceChildren()
    this.page.latest.hidden = true
    await this.refresh()
  }

  /** Ask for the newest: at the beginning, and after the connection was lost. */
  async refresh() {
    const { customer } = this
    if (customer === null) return
    const turn = this.#turn
    const wasAtEnd = this.#isAtEnd
    const found = await this.desk.history(customer, undefined, PAGE)
    if (turn !== this.#turn) return
    if (found.length && this.#said.size && !found.some((each) => this.#said.has(each.message_id))) {
      this.#said.clear() // more was missed than a page: what lies between is had by scrolling up
      this.page.log.replaceChildren()
    }
    if (!this.#said.size) {
      this.#oldest = found.length ? found[0].message_id : 0
      this.#isComplete = found.length < PAGE
    }
    for (const message of found) this.#put(message)
    this.drawOutbox()
    if (wasAtEnd) this.#toEnd()
    else if (found.length) this.page.latest.hidden = false
  }

  /** Something was said here. @param {SupportMessage} message */
  heard(message) {
    const wasAtEnd = this.#isAtEnd
    this.#put(message)
    this.drawOutbox()
    if (wasAtEnd || message.is_from_support) this.#toEnd()
    else this.page.latest.hidden = false
  }

  /** Draw what is on its way below the rest. */
  drawOutbox() {
    const { log } = this.page
    for (const each of log.querySelectorAll('[data-outgoing]')) each.remove()
    if (this.customer === null) return
    const wasAtEnd = this.#isAtEnd
    for (const outgoing of this.desk.outbox(this.customer)) log.append(this.#pending(outgoing))
    if (wasAtEnd) this.#toEnd()
  }

  #toEnd() {
    const { log, latest } = this.page
    log.scrollTop = log.scrollHeight
    latest.hidden = true
    this.desk.read()
  }

  async #scrolled() {
    if (this.#isAtEnd && !this.page.latest.hidden) this.#toEnd()
    if (this.page.log.scrollTop < NEAR) await this.#older()
  }

  async #older() {
    const { customer } = this
    if (customer === null || this.#isComplete || this.#isLoading || !this.#said.size) return
    const turn = this.#turn
    this.#isLoading = true
    try {
      const found = await this.desk.history(customer, this.#oldest, PAGE)
      if (turn !== this.#turn) return
      this.#isComplete = found.length < PAGE
      const { log } = this.page
      const below = log.scrollHeight - log.scrollTop
      for (const message of found) this.#put(message)
      if (found.length) this.#oldest = found[0].message_id
      log.scrollTop = log.scrollHeight - below // what was read stays where it is
    } catch {
      // The connection is lost; whoever scrolls on asks again.
    } finally {
      if (turn === this.#turn) this.#isLoading = false
    }
  }

  /** @param {SupportMessage} message */
  #put(message) {
    const id = message.message_id
    if (this.#said.has(id)) return
    const line = this.#line(message)
    const ids = [...this.#said.keys()]
    if (!ids.length || id > ids[ids.length - 1]) {
      this.#said.set(id, line)
      this.page.log.append(line)
    } else {
      const next = /** @type {number} */ (ids.find((each) => each > id))
      this.#said.get(next)?.before(line)
      const all = [...this.#said, /** @type {[number, HTMLElement]} */ ([id, line])].sort(([a], [b]) => a - b)
      this.#said = new Map(all)
    }
    this.#drawDays(line)
  }

  /** A day is named above its first message: look at a line, and at the one below it. @param {HTMLElement} line */
  #drawDays(line) {
    let below = /** @type {HTMLElement | null} */ (line.nextElementSibling)
    if (below?.classList.contains('day')) {
      below.remove()
      below = /** @type {HTMLElement | null} */ (line.nextElementSibling)
    }
    for (const each of [line, below]) {
      if (!each?.dataset.created) continue
      const above = /** @type {HTMLElement | null} */ (each.previousElementSibling)
      if (above?.classList.contains('day')) continue
      const created = Number(each.dataset.created)
      if (above?.dataset.created && dayOf(Number(above.dataset.created)) === dayOf(created)) continue
      const made = /** @type {DocumentFragment} */ (this.page.day.content.cloneNode(true))
      setTime(/** @type {HTMLTimeElement} */ (made.querySelector('time')), created, day(created))
      each.before(made)
    }
  }

  /** @param {SupportMessage} message */
  #line({ message_text: text, is_from_support: isOurs, invader_name: name, created }) {
    const line = this.#copy(text)
    line.toggleAttribute('data-own', isOurs)
    line.dataset.created = String(created)
    const small = /** @type {HTMLElement} */ (line.querySelector('small'))
    small.textContent = isOurs ? `${name}, ${clock(created)}` : clock(created)
    return line
  }

  /** @param {Outgoing} outgoing */
  #pending(outgoing) {
    const line = this.#copy(outgoing.body.text)
    line.toggleAttribute('data-own', true)
    line.toggleAttribute('data-unsent', true)
    line.dataset.outgoing = outgoing.id
    const small = /** @type {HTMLElement} */ (line.querySelector('small'))
    small.textContent = ON_THE_WAY[outgoing.state] + (outgoing.error ? `: ${outgoing.error.message}` : '')
    if (outgoing.state === 'unsent') {
      const actions = document.createElement('span')
      actions.className = 'actions'
      const add = (/** @type {string} */ label, /** @type {() => void} */ act) => {
        const button = document.createElement('button')
        button.type = 'button'
        button.textContent = label
        button.addEventListener('click', act)
        actions.append(button)
      }
      add('Send again', () => this.desk.retry(outgoing))
      add('Discard', () => this.desk.discard(outgoing))
      line.append(actions)
    }
    return line
  }

  /** @param {string} text */
  #copy(text) {
    const made = /** @type {DocumentFragment} */ (this.page.said.content.cloneNode(true))
    const line = /** @type {HTMLElement} */ (made.firstElementChild)
    const words = /** @type {HTMLElement} */ (line.querySelector('.words'))
    words.textContent = text
    return line
  }
}
