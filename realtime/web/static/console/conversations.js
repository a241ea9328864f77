/**
 * The list of conversations: the most recent first, older ones as one scrolls.
 *
 * A line is made once and moved from then on, so that focus and a reader's place stay where they are. Lines that
 * are not seen are not drawn (content-visibility), however many there are.
 */

import { brief, setTime } from './times.js'

/** @typedef {import('../client.js').Conversation} Conversation */

const PAGE = 50

export class Conversations {
  /** @type {Map<number, Conversation>} */
  #all = new Map()
  /** @type {Map<number, HTMLLIElement>} */
  #lines = new Map()
  #filter = 'all'
  #search = ''
  #isComplete = false
  #isLoading = false

  /**
   * @param {object} page
   * @param {HTMLUListElement} page.list
   * @param {HTMLElement} page.scrolls what the list scrolls in
   * @param {HTMLElement} page.more what is seen when older ones are wanted
   * @param {HTMLElement} page.empty says that there are none
   * @param {HTMLTemplateElement} page.line
   * @param {(before?: number) => Promise<Conversation[]>} load those whose last message is older than `before`
   * @param {(customer: number) => void} open
   * @param {() => void} changed
   */
  constructor(page, load, open, changed) {
    this.page = page
    this.me = 0
    /** Who is open. @type {number | null} */
    this.current = null
    this.#load = load
    this.#open = open
    this.#changed = changed
    const watch = new IntersectionObserver((entries) => entries.some((each) => each.isIntersecting) && this.#older(), {
      root: page.scrolls,
      rootMargin: '200px',
    })
    watch.observe(page.more)
  }

  #load
  #open
  #changed

  /** How many messages nobody has read. */
  get unread() {
    return [...this.#all.values()].reduce((sum, each) => sum + each.unread, 0)
  }

  /** @param {number} customer */
  get(customer) {
    return this.#all.get(customer)
  }

  /** Look again at the newest: after a connection, and when the page is looked at again. */
  async refresh() {
    const found = await this.#load()
    if (!this.#all.size) this.#isComplete = found.length < PAGE
    for (const each of found) this.put(each)
  }

  /** Forget everything. */
  clear() {
    this.#all.clear()
    this.#lines.clear()
    this.page.list.replaceChildren()
    this.#isComplete = false
    this.current = null
  }

  /** A conversation is as it is told now. @param {Conversation} conversation */
  put(conversation) {
    const before = this.#all.get(conversation.user_id)
    if (before && before.last_message.message_id > conversation.last_message.message_id) {
      conversation = { ...conversation, last_message: before.last_message } // what was heard since is newer
    }
    this.#all.set(conversation.user_id, conversation)
    this.#draw(conversation)
    this.#changed()
  }

  /** Something was said. @param {import('../client.js').SupportMessage} message */
  heard(message) {
    const customer = /** @type {number} */ (message.user_id)
    const before = this.#all.get(customer)
    this.put({
      user_id: customer,
      user_name: message.user_name ?? before?.user_name ?? '',
      last_message: message,
      unread: (before?.unread ?? 0) + (message.is_from_support ? 0 : 1),
      assigned_to: before?.assigned_to ?? null,
    })
  }

  /** @param {string} filter `all`, `unread` or `mine` */
  filter(filter) {
    this.#filter = filter
    this.#filterAll()
  }

  /** @param {string} text */
  search(text) {
    this.#search = text.trim().toLocaleLowerCase()
    this.#filterAll()
  }

  /** Mark who is open. @param {number | null} customer */
  choose(customer) {
    for (const each of [this.current, customer]) {
      const button = each === null ? null : this.#lines.get(each)?.querySelector('button')
      if (each === customer) button?.setAttribute('aria-current', 'true')
      else button?.removeAttribute('aria-current')
    }
    this.current = customer
  }

  /** The next one that is shown, or the one before. @param {1 | -1} step @returns {number | null} */
  beside(step) {
    const shown = [...this.page.list.children].filter((line) => !(/** @type {HTMLElement} */ (line).hidden))
    const here = shown.findIndex((line) => Number(/** @type {HTMLElement} */ (line).dataset.customer) === this.current)
    const line = /** @type {HTMLElement | undefined} */ (here < 0 ? shown[0] : shown[here + step])
    return line ? Number(line.dataset.customer) : null
  }

  /** Put the focus on a line. @param {number} customer */
  focus(customer) {
    this.#lines.get(customer)?.querySelector('button')?.focus()
  }

  async #older() {
    if (this.#isComplete || this.#isLoading || !this.#all.size) return
    this.#isLoading = true
    const oldest = Math.min(...[...this.#all.values()].map((each) => each.last_message.message_id))
    try {
      const found = await this.#load(oldest)
      for (const each of found) this.put(each)
      this.#isComplete = found.length < PAGE
    } catch {
      // The connection is lost; whoever scrolls on asks again.
    } finally {
      this.#isLoading = false
    }
  }

  /** @param {Conversation} conversation */
  #draw(conversation) {
    const { user_id: customer, last_message: last } = conversation
    let line = this.#lines.get(customer)
    if (!line) {
      const made = /** @type {DocumentFragment} */ (this.page.line.content.cloneNode(true))
      line = /** @type {HTMLLIElement} */ (made.firstElementChild)
      line.dataset.customer = String(customer)
      line.querySelector('button')?.addEventListener('click', () => this.#open(customer))
      this.#lines.set(customer, line)
    }
    const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (line.querySelector(name))
    part('.name').textContent = conversation.user_name
    setTime(/** @type {HTMLTimeElement} */ (part('time')), last.created, brief(last.created))
    part('.last').textContent = (last.is_from_support ? `${last.invader_name}: ` : '') + last.message_text.slice(0, 200)
    const holder = conversation.assigned_to
    part('.holder').textContent = holder === null ? '' : holder === this.me ? 'yours' : 'taken'
    part('.holder').toggleAttribute('data-mine', holder === this.me)
    part('.badge').textContent = String(conversation.unread)
    part('.badge').hidden = !conversation.unread
    part('.badge').setAttribute('aria-label', `${conversation.unread} unread`)
    part('button').toggleAttribute('data-unread', conversation.unread > 0)
    this.#place(line, last.message_id)
    this.#hide(line, conversation)
    this.#sayIfEmpty()
  }

  /** Put a line where it belongs, if it isn't there. @param {HTMLLIElement} line @param {number} newest */
  #place(line, newest) {
    const { list } = this.page
    if (line.isConnected && Number(line.dataset.newest) === newest) return
    line.dataset.newest = String(newest)
    const focused = document.activeElement
    let next = /** @type {HTMLElement | null} */ (list.firstElementChild)
    if (list.lastElementChild && Number(/** @type {HTMLElement} */ (list.lastElementChild).dataset.newest) > newest) next = null
    while (next && (next === line || Number(next.dataset.newest) > newest)) next = /** @type {HTMLElement | null} */ (next.nextElementSibling)
    list.insertBefore(line, next)
    if (focused instanceof HTMLElement && line.contains(focused)) focused.focus() // moving has taken it
  }

  #filterAll() {
    for (const [customer, line] of this.#lines) {
      const conversation = this.#all.get(customer)
      if (conversation) this.#hide(line, conversation)
    }
    this.#sayIfEmpty()
  }

  /** @param {HTMLLIElement} line @param {Conversation} conversation */
  #hide(line, conversation) {
    const passes =
      this.#filter === 'unread' ? conversation.unread > 0 : this.#filter === 'mine' ? conversation.assigned_to === this.me : true
    const isFound = conversation.user_name.toLocaleLowerCase().includes(this.#search)
    line.hidden = !(isFound && (passes || conversation.user_id === this.current))
  }

  #sayIfEmpty() {
    const { list, empty } = this.page
    const shown = [...list.children].some((line) => !(/** @type {HTMLElement} */ (line).hidden))
    empty.hidden = shown
    empty.textContent = this.#all.size ? 'None like that.' : 'Nobody has written yet.'
  }
}
