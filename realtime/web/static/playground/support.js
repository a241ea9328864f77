/** support: a customer, and an operator who sees all conversations, takes them and gives them back. */

import { ConnectionLost, ProtocolError, Support } from '../client.js'
import { find, make, onSay } from './elements.js'
import { Log } from './log.js'
import { pendingKey, Side } from './side.js'

const PERMISSION_DENIED = 3

/** @extends {Side<Support>} */
class SupportSide extends Side {
  #isOperator = false
  /** Whose conversation an operator looks at. @type {number | null} */
  #customer = null
  /** @type {Map<number, import('../client.js').Conversation>} */
  #conversations = new Map()

  /** @param {import('./pane.js').Pane} pane @param {HTMLElement} root */
  constructor(pane, root) {
    super(pane, root)
    /** Operators sit at the right: who is none is told so there. */
    this.isDesk = pane.sides.length === 1
    this.log = new Log(find(root, '.log'))
    onSay(find(root, '.say'), (text) => this.#say(text))
    for (const what of /** @type {const} */ (['assign', 'release', 'seen'])) {
      this.does(what, async () => {
        if (!this.connection || this.#customer === null) return
        const changed = await this.told(this.connection[what](this.#customer))
        if (changed) this.#put(changed)
      })
    }
  }

  /** @param {string} token */
  make(token) {
    return new Support(this.pane.people.server, token)
  }

  reset() {
    this.log.clear()
    this.#conversations.clear()
    this.#customer = null
    this.#isOperator = false
    this.#draw()
  }

  /** @param {Support} support */
  listen(support) {
    this.hear(support, 'ready', ({ messages }) => this.#ready(support, messages))
    this.hear(support, 'message', ({ message }) => this.#heard(message))
    this.hear(support, 'conversation', ({ conversation }) => this.#put(conversation))
    this.hear(support, 'outgoing', (outgoing) => this.#draws(outgoing))
  }

  /** @param {Support} support @param {import('../client.js').SupportMessage[]} messages */
  async #ready(support, messages) {
    if (!this.isDesk) {
      for (const message of messages) this.#line(message)
      return
    }
    try {
      const found = await support.conversations()
      if (support !== this.connection) return
      this.#isOperator = true
      this.#conversations = new Map(found.map((each) => [each.user_id, each]))
      const other = Number(this.pane.people.idOf(this.other.name))
      const wanted = this.#customer ?? (this.#conversations.has(other) ? other : (found[0]?.user_id ?? null))
      if (wanted !== null) await this.#open(wanted)
    } catch (error) {
      if (error instanceof ConnectionLost || support !== this.connection) return // again, when it is back
      const isNone = error instanceof ProtocolError && error.code === PERMISSION_DENIED
      this.fault(isNone ? `${this.name} is no operator: seat somebody who is.` : /** @type {Error} */ (error).message)
      this.#isOperator = false
      for (const message of messages) this.#line(message)
    }
    this.#draw()
  }

  /** @param {string} text */
  #say(text) {
    if (this.#isOperator && this.#customer === null) this.fault('Nobody has written yet.')
    else this.connection?.send(text, this.#customer ?? undefined)
  }

  /** @param {import('../client.js').Outgoing} outgoing */
  #draws(outgoing) {
    const isElsewhere = this.#isOperator && outgoing.body.user_id !== this.#customer
    if (isElsewhere || outgoing.state === 'stored') return // what is stored is told as a message
    this.drawPending(this.log, outgoing, outgoing.body.text)
    outgoing.done.then((message) => this.log.rename(pendingKey(outgoing), String(message.message_id)), () => {})
  }

  /** @param {import('../client.js').SupportMessage} message */
  #heard(message) {
    const { user_id: customer } = message
    if (customer !== undefined) {
      const known = this.#conversations.get(customer)
      const unread = message.is_from_support ? 0 : (known?.unread ?? 0) + 1
      this.#conversations.delete(customer)
      const user_name = message.user_name ?? known?.user_name ?? String(customer)
      const put = { user_id: customer, user_name, last_message: message, unread, assigned_to: known?.assigned_to ?? null }
      this.#conversations = new Map([[customer, put], ...this.#conversations])
      if (this.#customer === null) this.#open(customer)
      this.#draw()
      if (customer !== this.#customer) return
    }
    this.#line(message)
  }

  /** @param {import('../client.js').SupportMessage} message */
  #line({ message_id: id, message_text: text, invader_name: by, is_from_support: isOurs, created }) {
    const own = isOurs === this.#isOperator
    const waiting = this.connection?.outbox.find((each) => own && each.state === 'sent' && each.body.text === text)
    if (waiting) this.log.rename(pendingKey(waiting), String(id))
    this.log.put(String(id), { text, own, by: isOurs ? by : '', note: `stored at ${new Date(created * 1000).toLocaleTimeString()}`, time: id })
  }

  /** @param {import('../client.js').Conversation} conversation */
  #put(conversation) {
    this.#conversations.set(conversation.user_id, conversation)
    this.#draw()
  }

  /** @param {number} customer */
  async #open(customer) {
    if (customer !== this.#customer) this.log.clear()
    this.#customer = customer
    this.#draw()
    const messages = await this.told(/** @type {Support} */ (this.connection).history({ userId: customer, limit: 50 }))
    if (customer === this.#customer) for (const message of messages ?? []) this.#line(message)
  }

  #draw() {
    const me = Number(this.pane.people.idOf(this.name))
    find(this.root, '.desk').hidden = !this.#isOperator
    find(this.root, '.role').hidden = this.#isOperator
    find(this.root, '.empty').hidden = this.#conversations.size > 0
    const list = find(this.root, '.conversations')
    const hadFocus = list.contains(document.activeElement)
    list.replaceChildren()
    for (const { user_id: id, user_name: name, unread, assigned_to: holder } of this.#conversations.values()) {
      const held = holder === null ? '' : holder === me ? 'yours' : 'taken'
      const button = make('button', '', name, ' ', make('span', 'hint', held))
      if (unread) button.append(' ', make('span', 'badge', String(unread)), make('span', 'visually-hidden', ' unread'))
      button.setAttribute('type', 'button')
      button.setAttribute('aria-current', String(id === this.#customer))
      button.addEventListener('click', () => this.#open(id))
      list.append(make('li', '', button))
      if (hadFocus && id === this.#customer) button.focus()
    }
    const open = this.#conversations.get(this.#customer ?? -1)
    for (const [what, isOffered] of /** @type {const} */ ([
      ['assign', open && open.assigned_to !== me],
      ['release', open && open.assigned_to === me],
      ['seen', open && open.unread > 0],
    ])) {
      /** @type {HTMLButtonElement} */
      const button = find(this.root, `[data-do="${what}"]`)
      button.disabled = !isOffered
    }
  }
}

/** @type {import('./pane.js').Protocol} */
export const support = {
  Side: SupportSide,
  describe: (direction, { method, error, result }) => {
    if (direction === 'out') return { name: method }
    return { name: error ? `error ${error.code}` : result?.message ? 'message' : result?.messages !== undefined ? 'messages' : Object.keys(result ?? {})[0] }
  },
}
