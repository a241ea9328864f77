/** Times as the reader's own locale has them. */

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })

/** @param {number} seconds of Unix */
export function clock(seconds) {
  return CLOCK.format(seconds * 1000)
}

/** The clock of today, the date of other days. @param {number} seconds */
export function brief(seconds) {
  return isToday(seconds) ? clock(seconds) : DATE.format(seconds * 1000)
}

/** @param {number} seconds */
export function day(seconds) {
  return isToday(seconds) ? 'Today' : WEEKDAY.format(seconds * 1000)
}

/** What is the same for all moments of a day. @param {number} seconds */
export function dayOf(seconds) {
  return new Date(seconds * 1000).toDateString()
}

/** Set what a `<time>` stands for. @param {HTMLTimeElement} element @param {number} seconds @param {string} text */
export function setTime(element, seconds, text) {
  element.dateTime = new Date(seconds * 1000).toISOString()
  element.textContent = text
}

/** @param {number} seconds */
function isToday(seconds) {
  return dayOf(seconds) === new Date().toDateString()
}
