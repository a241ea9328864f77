/** One protocol's pane: two people side by side, and the wire below them. */

import { copy, find } from './elements.js'
import { Wire } from './frames.js'

/** @typedef {import('./people.js').People} People */
/** @typedef {import('./side.js').Side<any>} Side */

/**
 * What a pane knows of a protocol.
 *
 * @typedef {object} Protocol
 * @property {new (pane: Pane, root: HTMLElement) => Side} Side
 * @property {(direction: 'in' | 'out', decoded: any) => { name: string, isHeartbeat?: boolean }} describe what a frame is called
 */

export class Pane {
  #isBegun = false

  /**
   * @param {HTMLElement} root the tab's panel
   * @param {string} protocol
   * @param {Protocol} made
   * @param {People} people
   * @param {any} about what the server says of itself
   * @param {(name: string) => Promise<string | null>} askWho signs somebody in: the name, or null if nobody was
   */
  constructor(root, protocol, made, people, about, askWho) {
    this.root = root
    this.protocol = protocol
    this.describe = made.describe
    this.people = people
    this.about = about
    this.askWho = askWho
    const wire = copy('wire')
    this.wire = new Wire(find(wire, '.wire'), (text) => people.mask(text))
    /** @type {Side[]} */
    this.sides = []
    const seats = find(root, '.seats')
    for (let place = 0; place < 2; place++) {
      const seat = copy('seat')
      const side = new made.Side(this, find(seat, '.seat'))
      this.sides.push(side)
      seats.append(seat)
    }
    root.append(wire)
  }

  /** It is looked at: the first time, seat two people. */
  show() {
    if (this.#isBegun) return
    this.#isBegun = true
    for (const [place, name] of this.people.seats(this.protocol).entries()) this.sides[place].sit(name)
  }

  /** Connect both anew. */
  again() {
    for (const side of this.sides) if (side.name) side.sit(side.name)
  }
}
