/** What was said, in the order of its time: lines with a key, so that each can be told what became of it. */

import { make } from './elements.js'

/**
 * @typedef {object} Line
 * @property {string} text
 * @property {boolean} [own]
 * @property {string} [by] who has said it
 * @property {string} [note] what became of it
 * @property {boolean} [unsent] the server does not have it yet
 * @property {boolean} [system] nobody has said it
 * @property {() => void} [again] says it again
 * @property {number} [time] by which lines are ordered; without it, it is the newest's
 */

const MOST = 200 // lines kept

/** What becomes of something that was said, until it is stored. */
export const ON_THE_WAY = { queued: 'waits for the connection', sent: 'on its way', unsent: 'not sent', stored: 'stored', refused: 'refused' }

export class Log {
  /** @type {Map<string, HTMLElement>} */
  #lines = new Map()

  /** @param {HTMLElement} element with the role of a log */
  constructor(element) {
    this.element = element
    new ResizeObserver(() => this.#toEnd()).observe(element)
  }

  get #newest() {
    const last = /** @type {HTMLElement | null} */ (this.element.lastElementChild)
    return Number(last?.dataset.time ?? 0)
  }

  /** Add a line, or change the one that has this key. @param {string} key @param {Line} line */
  put(key, { text, own = false, by = '', note = '', unsent = false, system = false, again, time = this.#newest }) {
    let line = this.#lines.get(key)
    if (!line) {
      line = make('div', 'message', make('span', 'words'), make('small', ''))
      const after = [...this.#lines.values()].find((each) => Number(each.dataset.time) > time)
      if (after) after.before(line)
      else this.element.append(line)
      this.#lines.set(key, line)
      this.#bound()
    }
    line.dataset.time = String(time)
    const [words, small] = line.children
    if (words.textContent !== text) words.textContent = text
    small.textContent = [by, note].filter(Boolean).join(' · ')
    line.toggleAttribute('data-own', own)
    line.toggleAttribute('data-unsent', unsent)
    line.toggleAttribute('data-system', system)
    line.querySelector('button')?.remove()
    if (again) {
      const button = make('button', 'small', 'Send again')
      button.setAttribute('type', 'button')
      button.addEventListener('click', again)
      line.append(button)
    }
    this.#toEnd()
  }

  /** Whether there is a line of this key. @param {string} key */
  has(key) {
    return this.#lines.has(key)
  }

  /** @param {string} key */
  timeOf(key) {
    return Number(this.#lines.get(key)?.dataset.time)
  }

  /** A line has another key from now on; if there is one of that key already, they were the same. @param {string} from @param {string} to */
  rename(from, to) {
    const line = this.#lines.get(from)
    if (!line || from === to) return
    this.#lines.delete(from)
    if (this.#lines.has(to)) line.remove()
    else this.#lines.set(to, line)
  }

  /** @param {string} key */
  drop(key) {
    this.#lines.get(key)?.remove()
    this.#lines.delete(key)
  }

  /** Something that happened, in words of ours. @param {string} text */
  tell(text) {
    this.put(`told ${performance.now()} ${this.#lines.size}`, { text, system: true })
  }

  clear() {
    this.#lines.clear()
    this.element.replaceChildren()
  }

  #toEnd() {
    this.element.scrollTop = this.element.scrollHeight
  }

  #bound() {
    if (this.#lines.size <= MOST) return
    const first = this.element.firstElementChild
    for (const [key, line] of this.#lines) if (line === first) this.#lines.delete(key)
    first?.remove()
  }
}
