/**
 * What an operator has typed and not sent, for each customer: kept for as long as the tab is, reloads included.
 *
 * It is in the tab's own storage, which ends with it: what was typed to a customer is nobody else's.
 */

const PREFIX = 'realtime.console.draft.'

/** @param {number} customer */
export function draftOf(customer) {
  return sessionStorage.getItem(PREFIX + customer) ?? ''
}

/** @param {number} customer @param {string} text */
export function keepDraft(customer, text) {
  if (text) sessionStorage.setItem(PREFIX + customer, text)
  else sessionStorage.removeItem(PREFIX + customer)
}

/** Forget all of them: the operator leaves. */
export function forgetDrafts() {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key)
}
