/** What users of the market have reported, for somebody to look at and to resolve. */

import { brief } from './times.js'

/**
 * @typedef {object} Report times are Unix milliseconds
 * @property {number} id
 * @property {{ id: string | number, username: string }} reporter
 * @property {'conversation' | 'message' | 'text'} kind
 * @property {number | null} object
 * @property {string | null} reason
 * @property {number} created
 * @property {number | null} resolved
 */

export class Reports {
  /** @type {number | null} */
  #next = null

  /**
   * @param {object} page
   * @param {HTMLUListElement} page.list
   * @param {HTMLElement} page.empty
   * @param {HTMLButtonElement} page.more
   * @param {HTMLInputElement} page.all whether resolved ones are shown too
   * @param {HTMLElement} page.badge how many are open, of those that were looked at
   * @param {HTMLTemplateElement} page.report
   * @param {(method: string, path: string) => Promise<any>} ask an HTTP request below the server's address
   */
  constructor(page, ask) {
    this.page = page
    this.ask = ask
    page.more.addEventListener('click', () => this.#load(this.#next))
    page.all.addEventListener('change', () => this.refresh())
  }

  /** Look at them anew. */
  refresh() {
    this.page.list.replaceChildren()
    return this.#load(null)
  }

  /** @param {number | null} before */
  async #load(before) {
    const { list, empty, more, all } = this.page
    const which = `limit=50${all.checked ? '&all=1' : ''}${before === null ? '' : `&before=${before}`}`
    const { reports, next } = await this.ask('GET', `v1/reports?${which}`)
    for (const report of reports) list.append(this.#line(report))
    this.#next = next
    more.hidden = next === null
    empty.hidden = list.childElementCount > 0
    this.#count()
  }

  /** @param {Report} report */
  #line(report) {
    const made = /** @type {DocumentFragment} */ (this.page.report.content.cloneNode(true))
    const line = /** @type {HTMLLIElement} */ (made.firstElementChild)
    const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (line.querySelector(name))
    const button = /** @type {HTMLButtonElement} */ (part('button'))
    part('.what').textContent = report.kind === 'text' ? 'A note' : `A ${report.kind}, number ${report.object}`
    part('.reason').textContent = report.reason ?? ''
    part('.reason').hidden = !report.reason
    part('.hint').textContent = `${report.reporter.username}, ${brief(report.created / 1000)}`
    const show = (/** @type {boolean} */ isResolved) => {
      button.disabled = isResolved
      button.textContent = isResolved ? 'Resolved' : 'Resolve'
      line.toggleAttribute('data-open', !isResolved)
    }
    show(report.resolved !== null)
    button.addEventListener('click', async () => {
      button.disabled = true
      try {
        await this.ask('POST', `v1/reports/${report.id}/resolve`)
        show(true)
      } catch {
        show(false)
      }
      this.#count()
    })
    return line
  }

  #count() {
    const { list, badge } = this.page
    const open = list.querySelectorAll('[data-open]').length
    badge.textContent = String(open)
    badge.setAttribute('aria-label', `${open} open`)
    badge.hidden = !open
  }
}
