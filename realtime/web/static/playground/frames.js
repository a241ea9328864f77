/**
 * The wire: every frame of a pane, both directions, as it means and as it is.
 *
 * The newest is shown until one is chosen. A bounded number is kept; while it is paused, none is added. Frames hold
 * tokens; none is shown or copied.
 */

import { find, field, make } from './elements.js'

/**
 * @typedef {object} Frame
 * @property {string} who
 * @property {'in' | 'out'} direction as that person's client sees it
 * @property {string | ArrayBuffer | Uint8Array} raw
 * @property {any} decoded
 * @property {string} name
 * @property {boolean} isHeartbeat
 * @property {number} time Unix milliseconds
 * @property {number} size bytes
 */

const MOST = 300 // frames kept
const DEPTH = 8 // levels that a tree draws
const SHOWN = 20_000 // characters, or bytes, that are drawn of one value

export class Wire {
  /** @type {{ frame: Frame, row: HTMLElement }[]} */
  #kept = []
  /** @type {Frame | null} */
  #chosen = null
  /** @type {Frame | null} */
  #shown = null
  #paused = false
  #missed = 0
  /** @type {'decoded' | 'raw'} */
  #view = 'decoded'

  /** @param {HTMLElement} root a copy of the template `wire` @param {(text: string) => string} mask */
  constructor(root, mask) {
    this.root = root
    this.mask = mask
    this.list = find(root, '.frames')
    field(root, 'filter').addEventListener('input', () => this.#sift())
    field(root, 'direction').addEventListener('change', () => this.#sift())
    field(root, 'heartbeats').addEventListener('change', () => this.#sift())
    this.#press('pause', () => this.#pause())
    this.#press('clear', () => this.clear())
    this.#press('newest', () => this.#choose(null))
    this.#press('decoded', () => this.#look('decoded'))
    this.#press('raw', () => this.#look('raw'))
    this.#press('copy', () => this.#copy())
    this.#count()
  }

  /** @param {Omit<Frame, 'time' | 'size'>} more */
  add(more) {
    if (this.#paused) {
      this.#missed++
      this.#count()
      return
    }
    const { raw } = more
    const size = typeof raw === 'string' ? new TextEncoder().encode(raw).length : raw.byteLength
    const frame = { ...more, time: Date.now(), size }
    const row = this.#row(frame)
    this.#kept.push({ frame, row })
    const isAtEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 60
    this.list.append(row)
    if (this.#kept.length > MOST) this.#kept.shift()?.row.remove()
    if (isAtEnd) this.list.scrollTop = this.list.scrollHeight
    if (!this.#chosen && !row.hidden) this.#show(frame)
    this.#count()
  }

  clear() {
    this.#kept = []
    this.#missed = 0
    this.list.replaceChildren()
    this.#choose(null)
    this.#count()
  }

  /** @param {string} what @param {() => void} act */
  #press(what, act) {
    find(this.root, `[data-wire="${what}"]`).addEventListener('click', act)
  }

  /** @param {Frame} frame */
  #row(frame) {
    const { who, direction, name, time, size } = frame
    const arrow = make('span', 'arrow', direction === 'out' ? '→' : '←')
    arrow.setAttribute('aria-label', direction === 'out' ? 'sent' : 'received')
    arrow.setAttribute('role', 'img')
    const moment = make('span', 'moment', clock(time))
    const button = make('button', '', moment, ' ', make('span', 'whose', who), ' ', arrow, ' ')
    button.append(make('span', 'what', name), ' ', make('span', 'size', bytes(size)))
    button.setAttribute('type', 'button')
    button.addEventListener('click', () => this.#choose(frame))
    const row = make('li', '', button)
    row.dataset.direction = direction
    row.hidden = !this.#isWanted(frame)
    return row
  }

  /** @param {Frame} frame */
  #isWanted({ who, direction, name, raw, isHeartbeat }) {
    if (isHeartbeat && !field(this.root, 'heartbeats').checked) return false
    const wanted = field(this.root, 'direction').value
    if (wanted && wanted !== direction) return false
    const words = field(this.root, 'filter').value.trim().toLowerCase()
    return !words || `${who} ${name} ${this.mask(asText(raw))}`.toLowerCase().includes(words)
  }

  #sift() {
    for (const { frame, row } of this.#kept) row.hidden = !this.#isWanted(frame)
    if (!this.#chosen) this.#show(this.#newest)
    this.#count()
  }

  get #newest() {
    return this.#kept.findLast(({ row }) => !row.hidden)?.frame ?? null
  }

  #pause() {
    this.#paused = !this.#paused
    if (!this.#paused) this.#missed = 0
    find(this.root, '[data-wire="pause"]').setAttribute('aria-pressed', String(this.#paused))
    this.#count()
  }

  #count() {
    const shown = this.#kept.filter(({ row }) => !row.hidden).length
    const missed = this.#paused ? ` · paused, ${this.#missed} passed` : ''
    find(this.root, '.count').textContent = `${shown === this.#kept.length ? shown : `${shown} of ${this.#kept.length}`}${missed}`
    find(this.root, '.nothing').hidden = shown > 0
  }

  /** @param {Frame | null} frame null: the newest, whichever that is */
  #choose(frame) {
    this.#chosen = frame
    find(this.root, '[data-wire="newest"]').setAttribute('aria-pressed', String(!frame))
    this.#show(frame ?? this.#newest)
  }

  /** @param {'decoded' | 'raw'} view */
  #look(view) {
    this.#view = view
    for (const each of ['decoded', 'raw']) {
      find(this.root, `[data-wire="${each}"]`).setAttribute('aria-pressed', String(each === view))
    }
    this.#show(this.#shown)
  }

  /** @param {Frame | null} frame */
  #show(frame) {
    this.#shown = frame
    for (const each of this.#kept) {
      const button = /** @type {HTMLElement} */ (each.row.firstElementChild)
      if (each.frame === frame) button.setAttribute('aria-current', 'true')
      else button.removeAttribute('aria-current')
    }
    const detail = find(this.root, '.inside')
    if (!frame) {
      detail.replaceChildren()
      return
    }
    if (this.#view === 'decoded') detail.replaceChildren(this.#tree(frame.decoded, 0))
    else detail.replaceChildren(make('pre', typeof frame.raw === 'string' ? '' : 'hex', this.#rawOf(frame)))
    detail.scrollTop = 0
  }

  /** @param {Frame} frame */
  #rawOf({ raw }) {
    return typeof raw === 'string' ? cut(this.mask(raw)) : hexDump(asBytes(raw))
  }

  /** @param {any} value @param {number} depth @returns {HTMLElement} */
  #tree(value, depth) {
    if (value === null || typeof value !== 'object' || depth === DEPTH) return this.#leaf(value)
    const entries = Object.entries(value)
    if (!entries.length) return this.#leaf(value)
    const list = make('ul', 'tree')
    for (const [key, each] of entries) {
      const isBranch = each !== null && typeof each === 'object' && Object.keys(each).length > 0 && depth + 1 < DEPTH
      const name = make('span', 'key', key)
      if (isBranch) {
        const kind = Array.isArray(each) ? `[${each.length}]` : '{…}'
        const branch = /** @type {HTMLDetailsElement} */ (make('details', '', make('summary', '', name, ' ', make('span', 'kind', kind))))
        branch.open = depth < 3
        branch.append(this.#tree(each, depth + 1))
        list.append(make('li', '', branch))
      } else {
        list.append(make('li', '', name, ' ', this.#leaf(each)))
      }
    }
    return list
  }

  /** @param {any} value */
  #leaf(value) {
    const kind = value === null ? 'null' : typeof value
    return make('span', `value ${kind}`, value === undefined ? '(nothing)' : cut(this.mask(JSON.stringify(value))))
  }

  async #copy() {
    if (!this.#shown) return
    const button = find(this.root, '[data-wire="copy"]')
    try {
      await navigator.clipboard.writeText(this.#rawOf(this.#shown))
      button.textContent = 'Copied'
    } catch {
      button.textContent = 'Can’t copy'
    }
    setTimeout(() => (button.textContent = 'Copy'), 1500)
  }
}

/** Bytes as they are: where they stand, sixteen of them, and the text that they may be. @param {Uint8Array} given */
export function hexDump(given) {
  const lines = []
  for (let at = 0; at < Math.min(given.length, SHOWN); at += 16) {
    const row = [...given.subarray(at, at + 16)]
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${text}`)
  }
  return lines.join('\n')
}

/** @param {ArrayBuffer | Uint8Array} raw */
function asBytes(raw) {
  return raw instanceof Uint8Array ? raw : new Uint8Array(raw)
}

/** @param {Frame['raw']} raw */
function asText(raw) {
  return typeof raw === 'string' ? raw : new TextDecoder().decode(raw)
}

/** @param {string} text */
function cut(text) {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}… (${text.length} characters)` : text
}

/** @param {number} size */
function bytes(size) {
  return size < 10_000 ? `${size} B` : `${(size / 1024).toFixed(1)} KiB`
}

/** @param {number} time */
function clock(time) {
  const moment = new Date(time)
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0')
  const parts = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two)
  return `${parts.join(':')}.${String(moment.getMilliseconds()).padStart(3, '0')}`
}
