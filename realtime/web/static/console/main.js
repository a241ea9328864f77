/**
 * The operators' console: whoever is signed in here sees all conversations, answers them, takes them and gives
 * them back, and resolves what was reported.
 *
 * The token is kept in the tab's own storage, and what is typed as well: a reload loses neither. Everything that
 * has to do with one thing is in a module of its own; here they are put together.
 */

import { ProtocolError, signIn, SignInError, Support, userIdOf } from '../client.js'
import { Conversations } from './conversations.js'
import { draftOf, forgetDrafts, keepDraft } from './drafts.js'
import { Reports } from './reports.js'
import { Thread } from './thread.js'

const SERVER = new URL('..', location.href)
const TOKEN = 'realtime.console.token'
const REFRESH = 60 // seconds: what others' conversations have come to is told to those who have them alone
const NOT_AUTHENTICATED = 4401
const PERMISSION_DENIED = 3

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
const $ = (id) => /** @type {T} */ (document.getElementById(id))

/** @type {Support | null} */
let support = null

const conversations = new Conversations(
  { list: $('list'), scrolls: $('scrolls'), more: $('more'), empty: $('empty'), line: $('line') },
  (before) => connected().conversations({ beforeId: before, limit: 50 }),
  open,
  drawUnread,
)
const thread = new Thread(
  { log: $('log'), latest: $('latest'), said: $('said'), day: $('day') },
  {
    history: (userId, beforeId, limit) => connected().history({ userId, beforeId, limit }),
    outbox: (customer) => support?.outbox.filter(({ body }) => body.user_id === customer) ?? [],
    retry: (outgoing) => support?.retry(outgoing),
    discard: (outgoing) => support?.discard(outgoing),
    read: markRead,
  },
)
const reports = new Reports(
  {
    list: $('report-list'),
    empty: $('no-reports'),
    more: $('more-reports'),
    all: $('all-reports'),
    badge: $('open-reports'),
    report: $('report'),
  },
  ask,
)

function connected() {
  if (!support) throw new Error('nobody is signed in')
  return support
}

/** An HTTP request below the server's address. @param {string} method @param {string} path */
async function ask(method, path) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(TOKEN)}` }
  const answer = await fetch(new URL(path, SERVER), { method, headers, cache: 'no-store' })
  if (!answer.ok) throw new Error(`${answer.status}`)
  return answer.json()
}

// -- signing in ------------------------------------------------------------------------------------

/** @param {string} [why] */
function askToSignIn(why = '') {
  const dialog = /** @type {HTMLDialogElement} */ ($('sign-in'))
  $('sign-in-why').textContent = why
  $('sign-in-why').hidden = !why
  $('sign-in-fault').hidden = true
  if (!dialog.open) dialog.showModal()
}

$('sign-in').addEventListener('cancel', (event) => event.preventDefault()) // there is nothing behind it
$('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault()
  enter(/** @type {HTMLInputElement} */ ($('name')).value, /** @type {HTMLInputElement} */ ($('password')).value)
})
$('demo').addEventListener('click', () => enter('operator', 'operator'))

/** @param {string} name @param {string} password */
async function enter(name, password) {
  const fault = $('sign-in-fault')
  fault.hidden = true
  let token
  try {
    token = await signIn(SERVER, name, password)
  } catch (error) {
    fault.textContent = error instanceof SignInError ? error.message : 'The server can’t be reached.'
    fault.hidden = false
    return
  }
  sessionStorage.setItem(TOKEN, token)
  const field = /** @type {HTMLInputElement} */ ($('password'))
  field.value = ''
  const dialog = /** @type {HTMLDialogElement} */ ($('sign-in'))
  dialog.close()
  begin(token)
}

/** @param {string} token */
function begin(token) {
  const before = support
  support = new Support(SERVER, token)
  if (before && conversations.me === Number(userIdOf(token))) {
    support.outbox = before.outbox // who comes back says what was not said
  } else {
    conversations.clear()
    thread.open(null)
    close()
  }
  before?.close()
  conversations.me = Number(userIdOf(token))
  support.addEventListener('state', (event) => drawState(/** @type {CustomEvent} */ (event).detail))
  support.addEventListener('ready', ready)
  support.addEventListener('message', (event) => heard(/** @type {CustomEvent} */ (event).detail.message))
  support.addEventListener('conversation', (event) => {
    conversations.put(/** @type {CustomEvent} */ (event).detail.conversation)
    drawHolder()
  })
  support.addEventListener('outgoing', () => thread.drawOutbox())
  support.connect()
}

$('leave').addEventListener('click', () => {
  sessionStorage.removeItem(TOKEN)
  forgetDrafts()
  support?.close()
  support = null
  conversations.clear()
  thread.open(null)
  close()
  askToSignIn()
})

// -- the connection --------------------------------------------------------------------------------

async function ready() {
  const { current } = conversations
  try {
    await conversations.refresh()
    await thread.refresh()
    drawHolder()
    if (current !== null) markRead()
  } catch (error) {
    if (error instanceof ProtocolError && error.code === PERMISSION_DENIED) {
      sessionStorage.removeItem(TOKEN)
      support?.close()
      askToSignIn('This account is no operator’s.')
    } // else the connection is lost, and made again
  }
}

/** @type {ReturnType<typeof setInterval> | undefined} */
let counting

/** @param {import('../client.js').StateDetail} detail */
function drawState({ state, seconds = 0, code, reason }) {
  const texts = { idle: '', connecting: 'Connecting…', open: 'Connected', waiting: 'Connection lost', ended: reason || 'Disconnected' }
  $('state').dataset.state = state
  $('state').textContent = texts[state]
  clearInterval(counting)
  $('again').hidden = state !== 'waiting' && state !== 'ended'
  $('countdown').textContent = ''
  if (state === 'waiting') {
    const until = Date.now() + seconds * 1000
    const show = () => ($('countdown').textContent = `again in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s`)
    show()
    counting = setInterval(show, 250)
  }
  if (state === 'ended' && code === NOT_AUTHENTICATED) askToSignIn('Please sign in again. What you have typed is kept.')
}

$('retry').addEventListener('click', () => {
  if (support?.state === 'ended') support.connect()
  else support?.retryNow()
})

// What was said to customers of others, and where the connection is idle, is not told: look at times.
setInterval(() => document.visibilityState === 'visible' && look(), REFRESH * 1000)
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') {
    look()
    markRead()
  }
})

function look() {
  if (support?.state === 'open') conversations.refresh().catch(() => {})
}

// -- conversations ---------------------------------------------------------------------------------

/** @param {import('../client.js').SupportMessage} message */
function heard(message) {
  conversations.heard(message)
  if (message.user_id === thread.customer) thread.heard(message)
}

/** @param {number} customer */
async function open(customer) {
  const conversation = conversations.get(customer)
  if (!conversation) return
  keepTyped()
  conversations.choose(customer)
  $('desk').dataset.shows = 'thread'
  $('nobody').hidden = true
  $('talk').hidden = false
  $('who').textContent = conversation.user_name
  const text = /** @type {HTMLTextAreaElement} */ ($('text'))
  text.value = draftOf(customer)
  drawHolder()
  if (matchMedia('(pointer: fine)').matches) text.focus() // now: later, it would be taken from what is typed meanwhile
  try {
    await thread.open(customer)
  } catch {
    // The connection is lost: it is asked for when it is back.
  }
}

/** Back to the list. */
function close() {
  keepTyped()
  const customer = conversations.current
  conversations.choose(null)
  thread.open(null)
  $('desk').dataset.shows = 'list'
  $('talk').hidden = true
  $('nobody').hidden = false
  if (customer !== null) conversations.focus(customer)
}

function markRead() {
  const { customer } = thread
  const conversation = customer === null ? undefined : conversations.get(customer)
  if (!conversation?.unread || document.visibilityState !== 'visible' || support?.state !== 'open') return
  support.seen(conversation.user_id).then((changed) => conversations.put(changed), () => {})
}

function drawHolder() {
  const holder = conversations.get(conversations.current ?? -1)?.assigned_to ?? null
  $('holder').textContent =
    holder === null ? 'Nobody has it' : holder === conversations.me ? 'You have it' : 'Another operator has it'
  $('take').hidden = holder === conversations.me
  $('return').hidden = holder !== conversations.me
}

/** @param {'assign' | 'release'} what */
async function change(what) {
  const customer = conversations.current
  if (customer === null || support?.state !== 'open') return
  try {
    conversations.put(await support[what](customer))
  } catch {
    // It was not there to be given back, or the connection is lost: what is shown is what is known.
  }
  drawHolder()
}

$('take').addEventListener('click', () => change('assign'))
$('return').addEventListener('click', () => change('release'))
$('back').addEventListener('click', close)

function drawUnread() {
  const { unread } = conversations
  $('unread').textContent = String(unread)
  $('unread').setAttribute('aria-label', `${unread} unread`)
  $('unread').hidden = !unread
  document.title = unread ? `(${unread}) Operators` : 'Operators'
}

$('search').addEventListener('input', (event) => conversations.search(/** @type {HTMLInputElement} */ (event.target).value))
for (const button of document.querySelectorAll('[data-filter]')) {
  button.addEventListener('click', () => {
    for (const each of document.querySelectorAll('[data-filter]')) each.setAttribute('aria-pressed', String(each === button))
    conversations.filter(/** @type {HTMLElement} */ (button).dataset.filter ?? 'all')
  })
}

// -- answering -------------------------------------------------------------------------------------

function keepTyped() {
  if (conversations.current !== null) keepDraft(conversations.current, /** @type {HTMLTextAreaElement} */ ($('text')).value)
}

$('text').addEventListener('input', keepTyped)
$('text').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault()
    say()
  }
})
$('reply').addEventListener('submit', (event) => {
  event.preventDefault()
  say()
})

function say() {
  const text = /** @type {HTMLTextAreaElement} */ ($('text'))
  const customer = conversations.current
  if (!support || customer === null || !text.value.trim()) return
  support.send(text.value, customer)
  text.value = ''
  keepTyped()
}

// -- tabs ------------------------------------------------------------------------------------------

const TABS = ['conversations', 'reports']

/** @param {string} name */
function show(name) {
  for (const each of TABS) {
    const tab = $(`tab-${each}`)
    tab.setAttribute('aria-selected', String(each === name))
    tab.tabIndex = each === name ? 0 : -1
    $(each).hidden = each !== name
  }
  if (name === 'reports') reports.refresh().catch(() => {})
}

for (const name of TABS) {
  $(`tab-${name}`).addEventListener('click', () => show(name))
  $(`tab-${name}`).addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return
    const other = TABS[1 - TABS.indexOf(name)]
    if ($(`tab-${other}`).hidden) return
    show(other)
    $(`tab-${other}`).focus()
  })
}

// -- keys ------------------------------------------------------------------------------------------

/** @type {[string[], string, () => void][]} */
const KEYS = [
  [['j', 'ArrowDown'], 'the next conversation', () => step(1)],
  [['k', 'ArrowUp'], 'the one before', () => step(-1)],
  [['Enter', 'a'], 'answer', () => $('text').focus()],
  [['t'], 'take the conversation', () => change('assign')],
  [['r'], 'return it', () => change('release')],
  [['/'], 'search', () => $('search').focus()],
  [['?'], 'these keys', help],
]

/** @param {1 | -1} by */
function step(by) {
  const customer = conversations.beside(by)
  if (customer === null) return
  open(customer)
  conversations.focus(customer)
}

function help() {
  const dialog = /** @type {HTMLDialogElement} */ ($('keys'))
  dialog.showModal()
}

for (const [names, meaning] of [...KEYS, /** @type {const} */ ([['Escape'], 'out of a field; back to the list'])]) {
  const term = document.createElement('dt')
  for (const name of names) {
    const key = document.createElement('kbd')
    key.textContent = name.replace('ArrowDown', '↓').replace('ArrowUp', '↑')
    term.append(key, ' ')
  }
  const says = document.createElement('dd')
  says.textContent = meaning
  $('key-list').append(term, says)
}

$('help').addEventListener('click', help)
document.addEventListener('keydown', (event) => {
  const target = /** @type {HTMLElement} */ (event.target)
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector('dialog[open]')) return
  const isTyping = target.matches('input:not([type="checkbox"]), textarea')
  if (event.key === 'Escape') {
    if (isTyping) conversations.current === null ? target.blur() : conversations.focus(conversations.current)
    else if (conversations.current !== null) close()
    return
  }
  if (isTyping) return
  if (event.key === 'Enter' && target.matches('button, a, summary')) {
    if (!target.matches('[aria-current="true"]')) return // it does what it is there for
  }
  if (event.key.startsWith('Arrow') && target.matches('[role="tab"], [role="log"], .scrolls')) return
  const key = KEYS.find(([names]) => names.includes(event.key))
  if (!key || (key[0].includes('a') && conversations.current === null)) return
  event.preventDefault()
  key[2]()
})

// -- the beginning ---------------------------------------------------------------------------------

addEventListener('pagehide', keepTyped)

const about = await fetch(new URL('static/server.json', SERVER)).then((answer) => answer.json())
$('demo').hidden = !about.demo
$('tab-reports').hidden = !about.protocols.includes('market')
const kept = sessionStorage.getItem(TOKEN)
if (kept) begin(kept)
else askToSignIn()
