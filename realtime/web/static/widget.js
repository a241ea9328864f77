/* A support chat for any page:

     <script src="https://chat.example/widget.js" data-token="…" async></script>

   data-url    where the server is, if not where this file is
   data-title  of the panel; "Support" unless given
   data-open   begin with the panel open
   data-token  of the customer; may be set, changed and removed later: the chat begins anew, or goes

   The page's origin has to be in [auth] origins. A Content-Security-Policy has to allow this file (script-src) and
   the server's https: and wss: (connect-src); nothing else. --realtime-accent and --realtime-on-accent are colours
   to set on :root. More: docs/web.md. */
(() => {
  'use strict'
  const script = document.currentScript
  const server = new URL(script.dataset.url || '.', script.src)
  const title = script.dataset.title || 'Support'
  const COMES_BACK = [1001, 1005, 1006, 1011, 1012, 1013, 1014, 4408, 4430] // realtime/closing.py
  const PATIENCE = 20_000 // ms for a handshake, and for an answer
  const SEEN = 'realtime-support-seen'

  const css = `
:host { all: initial; position: fixed; inset-block: auto 1rem; inset-inline: auto 1rem; z-index: 2147483647; color-scheme: light dark;
  --ground: #fff; --raised: #eef0f4; --text: #191b20; --muted: #575d69; --line: #858b98; --bad: #b0221b; --soft: #e6edfb;
  --accent: var(--realtime-accent, #2458c9); --on-accent: var(--realtime-on-accent, #fff);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--text) }
@media (prefers-color-scheme: dark) { :host { --ground: #1a1c21; --raised: #2a2e36; --text: #e8e9ed; --muted: #a3a9b5;
  --line: #767d8b; --bad: #ff9d95; --soft: #22345c;
  --accent: var(--realtime-accent, #8fb3ff); --on-accent: var(--realtime-on-accent, #0b1b3b) } }
* { box-sizing: border-box; margin: 0; font: inherit; color: inherit }
[hidden], :host([hidden]) { display: none !important }
button { min-width: 44px; min-height: 44px; padding: 0 .8rem; border: 0; border-radius: 8px; background: none; cursor: pointer }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.launch, .send { background: var(--accent); color: var(--on-accent); font-weight: 600 }
.launch { display: flex; gap: .5rem; align-items: center; border-radius: 24px; padding: 0 1.2rem; box-shadow: 0 2px 12px #0004 }
.badge { min-width: 1.5em; padding: 0 .4em; border-radius: 1em; background: var(--on-accent); color: var(--accent) }
dialog { position: fixed; inset-block: auto 4.8rem; inset-inline: auto 1rem; width: 22rem; height: min(32rem, 100dvh - 6rem); max-width: none; max-height: none;
  padding: 0; border: 1px solid var(--line); border-radius: 12px; background: var(--ground); box-shadow: 0 8px 32px #0005; overflow: hidden }
dialog[open] { display: flex; flex-direction: column }
@media (max-width: 480px) { dialog { inset: 0; width: 100%; height: 100dvh; border: 0; border-radius: 0 } }
.top { display: flex; align-items: center; padding-inline-start: 1rem; border-bottom: 1px solid var(--raised) }
strong { flex: 1; font-weight: 600 }
.log { flex: 1; display: flex; flex-direction: column; gap: .5rem; padding: 1rem; overflow-y: auto; overscroll-behavior: contain; outline-offset: -2px }
.message { align-self: start; max-width: 85%; padding: .5rem .75rem; border-radius: 12px; background: var(--raised);
  white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext }
.own { align-self: end; background: var(--soft) }
.pending { background: none; box-shadow: inset 0 0 0 1px var(--line) }
small { display: block; font-size: 12px; color: var(--muted) }
small.bad { color: var(--bad) }
small button { min-height: 24px; min-width: 0; padding: 0 .4rem; text-decoration: underline }
.state { padding: 0 1rem .5rem; font-size: 13px; color: var(--muted) }
.state:empty { padding: 0 }
form { display: flex; gap: .5rem; padding: .75rem; border-top: 1px solid var(--raised) }
textarea { flex: 1; min-height: 44px; max-height: 8rem; padding: .6rem .7rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--ground); font-size: 16px; resize: none }
::placeholder { color: var(--muted); opacity: 1 }
.name { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }`

  /** An element with attributes (functions are listeners) and children; texts go in as texts. */
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag)
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === 'function') element.addEventListener(name, value)
      else element.setAttribute(name, value)
    }
    element.append(...children)
    return element
  }

  // -- the panel

  const badge = make('span', { class: 'badge', hidden: '' })
  const launch = make('button', { class: 'launch', 'aria-haspopup': 'dialog', 'aria-expanded': 'false' }, title, badge)
  const log = make('div', { class: 'log', role: 'log', tabindex: '0', 'aria-label': 'Messages' })
  const state = make('p', { class: 'state', role: 'status' })
  const input = make('textarea', { rows: '1', maxlength: '10000', 'aria-label': 'Your message', placeholder: 'Your message', dir: 'auto' })
  const close = make('button', { 'aria-label': 'Close', click: () => panel.close() }, '✕')
  const form = make('form', {}, input, make('button', { class: 'send' }, 'Send'))
  const panel = make('dialog', { 'aria-label': title }, make('div', { class: 'top' }, make('strong', {}, title), close), log, state, form)
  const host = make('realtime-support', { role: 'region', 'aria-label': title, hidden: '' })
  const phone = matchMedia('(max-width: 480px)')
  let unread = 0
  let newest = 0 // the newest message that is shown

  const store = (id) => {
    try {
      return id ? localStorage.setItem(SEEN, id) : Number(localStorage.getItem(SEEN) ?? Infinity)
    } catch {
      return Infinity // a page without storage: nothing counts as unread from before
    }
  }

  const count = (number) => {
    unread = number
    badge.replaceChildren(number, make('span', { class: 'name' }, ' unread'))
    badge.hidden = !number
    if (!number && newest) store(newest)
  }

  const toEnd = () => (log.scrollTop = log.scrollHeight)

  const open = () => {
    // On a phone it is all there is: the rest of the page is out of reach meanwhile. Elsewhere one can read on.
    if (phone.matches) panel.showModal()
    else panel.show()
    launch.setAttribute('aria-expanded', 'true')
    count(0)
    toEnd()
    if (!phone.matches) input.focus()
  }

  const again = () => {
    if (!panel.open) return
    panel.close()
    open()
  }

  const time = (seconds) => {
    const at = new Date(seconds * 1000)
    const today = at.toDateString() === new Date().toDateString()
    const text = at.toLocaleString([], { ...(today ? {} : { dateStyle: 'medium' }), timeStyle: 'short' })
    return make('time', { datetime: at.toISOString() }, text)
  }

  const bubble = (own, name, text, note) =>
    make('div', { class: own ? 'message own' : 'message', dir: 'auto' }, make('span', { class: 'name' }, `${name}: `), text, note)

  const show = (message) => {
    const { message_text: text, invader_name: operator, is_from_support: theirs, created } = message
    const note = make('small', {}, theirs && operator ? `${operator} · ` : '', time(created))
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80
    log.insertBefore(bubble(!theirs, theirs ? operator || title : 'You', text, note), outbox[0]?.element ?? null)
    if (atEnd || !theirs) toEnd()
  }

  // -- what was said and is not acknowledged: {text, state: 'queued' | 'sent' | 'unsent', after, element, note}

  let outbox = []

  const mark = (saying, state) => {
    saying.state = state
    saying.note.className = state === 'unsent' ? 'bad' : ''
    if (state !== 'unsent') saying.note.replaceChildren(state === 'sent' ? 'Sending…' : 'Waiting for a connection…')
    else {
      const retry = () => (mark(saying, 'queued'), input.focus(), flush())
      const discard = () => (forget(saying), input.focus())
      saying.note.replaceChildren('Not sent.', make('button', { click: retry }, 'Send again'), make('button', { click: discard }, 'Discard'))
    }
  }

  const forget = (saying) => {
    outbox = outbox.filter((each) => each !== saying)
    saying.element.remove()
  }

  const say = (text) => {
    const note = make('small')
    const saying = { text, note, element: bubble(true, 'You', text, note) }
    saying.element.classList.add('pending')
    outbox.push(saying)
    log.append(saying.element)
    mark(saying, 'queued')
    toEnd()
    flush()
  }

  const flush = () => {
    for (const saying of outbox) {
      if (!ready || saying.state !== 'queued') continue
      saying.after = newest
      mark(saying, 'sent')
      request('message.send', [saying.text], ({ error, result }) => {
        if (error) return mark(saying, 'unsent')
        forget(saying)
        add(result.message)
      })
    }
  }

  // -- the connection

  let socket = null
  let ready = false
  let tries = 0
  let since = 0
  let timer
  let known = new Set()
  let asked = new Map()
  let ids = 0

  const request = (method, params, answered) => {
    const id = `q${++ids}` // a text, for a push may have a number
    asked.set(id, answered)
    socket.send(JSON.stringify({ method, params, id }))
  }

  const add = (message) => {
    const { message_id: id, is_from_support: theirs } = message
    if (known.has(id)) return
    known.add(id)
    newest = Math.max(newest, id)
    show(message)
    if (panel.open && !document.hidden) count(0)
    else if (theirs) count(unread + 1)
  }

  const enter = (messages) => {
    const first = !known.size
    const seen = store()
    const fresh = messages.filter(({ message_id: id }) => !known.has(id))
    // What was on its way when the connection was lost is there, or it did not arrive.
    for (const saying of outbox.filter((each) => each.state === 'sent')) {
      const found = fresh.find(
        (each) => !each.taken && !each.is_from_support && each.message_id > saying.after && each.message_text === saying.text,
      )
      if (found) found.taken = true
      found ? forget(saying) : mark(saying, 'unsent')
    }
    fresh.forEach(add)
    if (first && !panel.open) count(fresh.filter((each) => each.is_from_support && each.message_id > seen).length)
    ready = true
    since = Date.now()
    state.textContent = ''
    flush()
  }

  const drop = () => {
    timer = clearTimeout(timer)
    ready = false
    asked.clear()
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null
    socket?.close()
    socket = null
  }

  const lost = () => {
    drop()
    if (since && Date.now() - since > 10_000) tries = 0
    since = 0
    const most = Math.min(30, 0.5 * 2 ** tries++)
    timer = setTimeout(connect, most * (0.5 + Math.random() / 2) * 1000)
    state.textContent = 'No connection. Trying again…'
  }

  const end = (text, mayTry) => {
    drop()
    form.hidden = !mayTry
    const retry = make('button', { click: () => connect() }, 'Try again')
    state.replaceChildren(text, ...(mayTry ? [' ', retry] : []))
  }

  /** A browser does not say why a handshake failed. If the server can be asked but not read, the page is not welcome. */
  const refused = async () => {
    drop()
    const current = (socket = { close() {} })
    const ask = (mode) => fetch(new URL('v1/auth/', server), { mode, credentials: 'omit', signal: AbortSignal.timeout(PATIENCE) })
    const unwelcome = await ask('cors').then(() => false, () => ask('no-cors').then(() => true, () => false))
    if (socket !== current) return
    if (unwelcome) end('The chat is not available on this page.')
    else lost()
  }

  const connect = () => {
    drop()
    form.hidden = false
    state.textContent = 'Connecting…'
    const address = new URL('support', server)
    address.protocol = address.protocol.replace('http', 'ws')
    let opened = false
    socket = new WebSocket(address)
    timer = setTimeout(lost, PATIENCE)
    socket.onopen = () => {
      opened = true
      request('message.auth', [script.dataset.token], ({ error, result }) => {
        timer = clearTimeout(timer)
        if (error) lost()
        else enter(result.messages ?? [])
      })
    }
    socket.onmessage = ({ data }) => {
      const answer = JSON.parse(data)
      const answered = asked.get(answer.id)
      asked.delete(answer.id)
      if (answered) answered(answer)
      else if (answer.result?.message) add(answer.result.message)
    }
    socket.onclose = ({ code }) => {
      if (!opened) refused()
      else if (COMES_BACK.includes(code)) lost()
      else if (code === 4401) end('Please sign in again.')
      else end('The chat was closed.', true)
    }
  }

  /** The page is looked at again, or online again: now, not when the time has come; and is the connection alive? */
  const wake = () => {
    if (document.hidden || host.hidden) return
    if (panel.open) count(0)
    if (!socket && timer) connect()
    else if (ready) {
      timer ??= setTimeout(lost, PATIENCE / 2)
      request('message.history', [null, null, 1], () => (timer = clearTimeout(timer)))
    }
  }

  const begin = () => {
    drop()
    log.replaceChildren()
    outbox = []
    known = new Set()
    newest = tries = 0
    count(0)
    host.hidden = !script.dataset.token
    if (host.hidden) panel.close()
    else connect()
  }

  // -- put together

  const start = () => {
    const sheet = new CSSStyleSheet() // which no Content-Security-Policy forbids, unlike a style element
    sheet.replaceSync(css)
    const root = host.attachShadow({ mode: 'open' })
    root.adoptedStyleSheets = [sheet]
    root.append(panel, launch)
    document.body.append(host)
    launch.addEventListener('click', () => (panel.open ? panel.close() : open()))
    panel.addEventListener('close', () => {
      if (panel.open) return // again, in the other way
      launch.setAttribute('aria-expanded', 'false')
      launch.focus()
    })
    panel.addEventListener('keydown', (event) => {
      event.stopPropagation() // what is typed here is no shortcut of the page's
      if (event.key === 'Escape' && !event.isComposing) panel.close()
      else if (event.key === 'Enter' && event.target === input && !event.shiftKey && !event.isComposing) {
        event.preventDefault()
        form.requestSubmit()
      }
    })
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      if (input.value.trim()) say(input.value)
      input.value = ''
      input.focus()
    })
    phone.addEventListener('change', again)
    addEventListener('online', wake)
    document.addEventListener('visibilitychange', wake)
    new MutationObserver(begin).observe(script, { attributeFilter: ['data-token'] })
    begin()
    if ('open' in script.dataset) open()
  }

  if (document.body) start()
  else addEventListener('DOMContentLoaded', start)
})()
