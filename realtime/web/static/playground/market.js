/** market: a conversation of two about a service, from a price to the notes, in either form of the packets. */

import { Market, OPCODES } from '../client.js'
import { field, find, onSay, onSubmit } from './elements.js'
import { Log } from './log.js'
import { pendingKey, Side } from './side.js'

/** @typedef {import('../client.js').Service} Service */
/** @typedef {import('../client.js').MarketMessage} MarketMessage */

const NAMES = new Map(Object.entries(OPCODES).map(([name, opcode]) => [opcode, name.replaceAll('_', ' ')]))

/** What may be done with a service as it stands; who may, the server says. @type {Record<string, string[]>} */
const STEPS = {
  none: ['propose'],
  negotiating: ['price', 'accept', 'decline'],
  agreed: ['terminate', 'dispute'],
  declined: ['propose'],
  terminated: ['note', 'dispute', 'propose'],
  disputed: ['note', 'propose'],
}

/** @extends {Side<Market>} */
class MarketSide extends Side {
  /** The one with the other side, once it is known. @type {number | null} */
  #conversation = null
  /** @type {Service | null} */
  #service = null
  #unseen = 0
  /** What was said, by id: to be drawn again when it is seen. @type {Map<number, string>} */
  #said = new Map()

  /** @param {import('./pane.js').Pane} pane @param {HTMLElement} root */
  constructor(pane, root) {
    super(pane, root)
    this.log = new Log(find(root, '.log'))
    const isFirst = pane.sides.length === 0
    onSay(find(root, '.say'), (text) => this.#say(text))
    onSubmit(find(root, '.propose'), () => {
      const [title, price] = [field(root, 'title').value, field(root, 'asked').value]
      this.#step((market, conversation) => market.createService(conversation, { title, price, ...this.#roles() }))
    })
    onSubmit(find(root, '.price'), () => {
      this.#step((market, conversation, id) => market.editPrice(conversation, id, field(root, 'price').value))
    })
    onSubmit(find(root, '.note'), () => {
      const [grade, comment] = [Number(field(root, 'grade').value), field(root, 'comment').value]
      this.#step((market, conversation, id) => market.submitNote(conversation, id, grade, comment))
    })
    this.does('accept', () => this.#step((market, conversation, id) => market.endNegotiation(conversation, id, true)))
    this.does('decline', () => this.#step((market, conversation, id) => market.endNegotiation(conversation, id, false)))
    this.does('terminate', () => this.#step((market, conversation, id) => market.terminate(conversation, id)))
    this.does('dispute', () => this.#step((market, conversation, id) => market.dispute(conversation, id, 'Not as agreed')))
    this.does('report', () => this.#step((market, conversation) => market.report({ conversation }, 'From the playground')))
    this.does('opened', () => this.#opened())
    if (isFirst) {
      for (const choice of pane.root.querySelectorAll('[name="form"]')) choice.addEventListener('change', () => pane.again())
    }
  }

  /** @param {string} token */
  make(token) {
    const form = this.pane.root.querySelector('[name="form"][value="binary"]:checked') ? 'binary' : 'text'
    return new Market(this.pane.people.server, token, { form })
  }

  reset() {
    this.log.clear()
    this.#conversation = this.#service = null
    this.#unseen = 0
    this.#draw()
  }

  /** @param {Market} market */
  listen(market) {
    this.hear(market, 'message', ({ conversation, message }) => this.#heard(conversation, message))
    this.hear(market, 'outgoing', (outgoing) => this.#draws(outgoing))
    this.hear(market, 'seen', ({ message }) => this.#note(message, '✓✓ seen'))
    this.hear(market, 'services', ({ conversation, services }) => {
      if (conversation === this.#conversation) this.#take(services)
      else if (this.#conversation === null) this.#read(market)
    })
    this.hear(market, 'fault', ({ code, message, opcode }) => this.fault(`${message} (${code}, in answer to ${NAMES.get(opcode)})`))
  }

  /** @param {import('../client.js').StateDetail} detail */
  stateChanged({ state }) {
    if (state === 'open' && this.connection) this.#read(this.connection)
    this.#draw()
  }

  /** Read the conversation with the other side, if there is one. @param {Market} market */
  async #read(market) {
    const conversations = await market.conversations().catch(() => []) // the connection is lost: again, when it is back
    if (market !== this.connection) return
    const other = this.pane.people.idOf(this.other.name)
    const found = conversations.find((each) => String(each.with.id) === other)
    if (!found) return
    this.#conversation = found.id
    for (const message of found.messages) this.#line(message)
    this.#take(found.services)
    this.#draw()
  }

  /** @param {string} text */
  #say(text) {
    const other = Number(this.pane.people.idOf(this.other.name))
    if (this.#conversation !== null) this.connection?.say({ conversation: this.#conversation }, text)
    else if (other) this.connection?.say({ to: other }, text)
    else this.fault('There is nobody on the other side.')
  }

  /** Who pays, and who is paid. @returns {{ client?: number, recipient?: number }} */
  #roles() {
    const [me, other] = [this.name, this.other.name].map((name) => Number(this.pane.people.idOf(name)))
    if (!me || !other) return {}
    return field(this.root, 'payer').value === 'me' ? { client: me, recipient: other } : { client: other, recipient: me }
  }

  /** @param {(market: Market, conversation: number, service: number) => boolean} act */
  #step(act) {
    this.fault('')
    if (this.#conversation === null) this.fault('Say something first: that opens the conversation.')
    else if (this.connection) act(this.connection, this.#conversation, this.#service?.id ?? 0)
  }

  #opened() {
    if (this.#conversation === null || !this.connection?.opened(this.#conversation)) return
    this.#unseen = 0
    this.#draw()
  }

  /** @param {number} conversation @param {MarketMessage} message */
  #heard(conversation, message) {
    const other = this.pane.people.idOf(this.other.name)
    const me = this.pane.people.idOf(this.name)
    const sender = String(message.sender.id)
    if (this.#conversation === null && (sender === other || sender === me)) this.#conversation = conversation
    if (conversation !== this.#conversation) return
    this.#line(message)
    this.#draw()
  }

  /** @param {MarketMessage} message */
  #line({ id, sender, content, seen, created }) {
    const own = String(sender.id) === this.pane.people.idOf(this.name)
    const isSystem = sender.id === 0
    const key = `message ${id}`
    if (!own && !isSystem && !seen && !this.log.has(key)) this.#unseen++
    const note = own ? (seen ? '✓✓ seen' : '✓ stored') : ''
    this.#said.set(id, content)
    this.log.put(key, { text: content, own, by: own || isSystem ? '' : sender.username, note, system: isSystem, time: created })
  }

  /** @param {number} id @param {string} note */
  #note(id, note) {
    const key = `message ${id}`
    const text = this.#said.get(id)
    if (text !== undefined && this.log.has(key)) this.log.put(key, { text, own: true, note, time: this.log.timeOf(key) })
  }

  /** @param {import('../client.js').Outgoing} outgoing */
  #draws(outgoing) {
    if (outgoing.state === 'stored') this.log.drop(pendingKey(outgoing)) // the message itself is told
    else this.drawPending(this.log, outgoing, outgoing.body.text)
  }

  /** @param {Service[]} services */
  #take(services) {
    const newest = [...services].sort((one, other) => other.id - one.id)[0]
    this.#service = newest ?? null
    this.#draw()
  }

  #draw() {
    const service = this.#service
    const status = service?.status ?? 'none'
    const me = this.pane.people.idOf(this.name)
    find(this.root, '.service').hidden = !service
    if (service) {
      find(this.root, '.title').textContent = service.title || 'A service'
      find(this.root, '.status').textContent = status
      find(this.root, '.amount').textContent = service.price
      find(this.root, '.payer').textContent = String(service.client) === me ? 'you pay' : 'you are paid'
    }
    for (const part of /** @type {NodeListOf<HTMLElement>} */ (this.root.querySelectorAll('[data-step]'))) {
      part.hidden = !STEPS[status]?.includes(part.dataset.step ?? '')
    }
    const isOpen = this.#conversation !== null
    for (const what of ['report', 'opened']) {
      /** @type {HTMLButtonElement} */
      const button = find(this.root, `[data-do="${what}"]`)
      button.disabled = !isOpen
      if (what === 'opened') button.textContent = this.#unseen ? `Mark ${this.#unseen} as seen` : 'Mark as seen'
    }
    find(this.root, '.begin').hidden = isOpen
    find(this.root, '.deal').hidden = !isOpen
  }
}

/** @type {import('./pane.js').Protocol} */
export const market = {
  Side: MarketSide,
  describe: (_direction, { opcode }) => ({
    name: `0x${opcode.toString(16).padStart(2, '0').toUpperCase()} ${NAMES.get(opcode) ?? '?'}`,
    isHeartbeat: opcode === OPCODES.PING || opcode === OPCODES.PONG,
  }),
}
