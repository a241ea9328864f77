/**
 * The playground: two people at once, in each of the five protocols, and the frames between them and the server.
 *
 * It first says what this is and signs people in; then each protocol has a tab, whose pane connects when it is looked at
 * for the first time. `#market` in the address opens that tab.
 */

import { SignInError } from '../client.js'
import { copy, field, find, make, onSubmit } from './elements.js'
import { market } from './market.js'
import { messenger } from './messenger.js'
import { Pane } from './pane.js'
import { People } from './people.js'
import { support } from './support.js'
import { talk } from './talk.js'
import { workspace } from './workspace.js'

const SERVER = new URL('.', location.href)

/** By the names that the server has for them; `about` is what a pane says of itself. @type {Record<string, { made: import('./pane.js').Protocol, wire: string, short: string, about: string }>} */
const PROTOCOLS = {
  talk: {
    made: talk,
    wire: 'JSON events',
    short: 'Strangers matched by score, who talk against the clock and answer each other’s questions.',
    about: 'Let both find somebody: who is closest by score is the partner. Both confirm, talk until time is up, and answer each other’s questions.',
  },
  workspace: {
    made: workspace,
    wire: 'Socket.IO',
    short: 'Channels of a team, by event and over HTTP; who was cut off is given what it missed.',
    about: 'Make a channel, say something, cut a connection and go on: who comes back in time gets what it missed, in order.',
  },
  market: {
    made: market,
    wire: 'Opcode packets',
    short: 'A conversation about a service: its price, the agreement, the notes; binary or as text.',
    about: 'Say something, propose a service, bargain and agree. The same packets go as text or as bytes: look at them raw.',
  },
  messenger: {
    made: messenger,
    wire: 'Typed messages',
    short: 'One room, and private dialogs that arrive: each with its receipt, even if the other comes back later.',
    about: 'Let one leave, and write to that one privately: the receipt comes when the other is back and has it (a WebSocket pong says so, which no page sees).',
  },
  support: {
    made: support,
    wire: 'JSON-RPC',
    short: 'Customers write, operators answer, take conversations and give them back.',
    about: 'Write as the customer, answer as the operator. Who takes a conversation has it until it is given back.',
  },
}

/** @type {any} */
const about = await fetch(new URL('static/server.json', SERVER)).then((answer) => answer.json())
const enabled = Object.keys(PROTOCOLS).filter((name) => about.protocols.includes(name))
const people = new People(SERVER, about.demo)
/** @type {Map<string, Pane>} */
const panes = new Map()
/** @type {Map<string, HTMLElement>} */
const tabs = new Map()

// -- the first screen ------------------------------------------------------------------------------

function welcome() {
  const list = find(document, '#overview')
  for (const name of enabled) {
    const { wire, short } = PROTOCOLS[name]
    const link = make('a', 'card', make('b', '', name), make('span', 'kind', wire), make('span', 'says', short))
    link.setAttribute('href', `#${name}`)
    link.addEventListener('click', (event) => {
      if (!about.demo) return
      event.preventDefault()
      location.hash = name
      beginDemo()
    })
    const line = make('li', '', link)
    line.dataset.protocol = name
    list.append(line)
  }
  find(document, '#demo').hidden = !about.demo
  find(document, '#sign-in-two').hidden = about.demo
  find(document, '#welcome').hidden = false
}

/** Run what signs somebody in, and say below it why nobody was. @param {HTMLElement} fault @param {() => Promise<any>} enter @returns {Promise<boolean>} */
async function entering(fault, enter) {
  fault.hidden = true
  document.body.setAttribute('aria-busy', 'true')
  try {
    await enter()
    return true
  } catch (error) {
    fault.textContent = error instanceof SignInError ? error.message : 'The server can’t be reached.'
    fault.hidden = false
    return false
  } finally {
    document.body.removeAttribute('aria-busy')
  }
}

async function beginDemo() {
  if (await entering(find(document, '#welcome-fault'), () => Promise.all(people.seats('talk').map((name) => people.token(name))))) begin()
}

find(document, '#begin').addEventListener('click', beginDemo)
onSubmit(find(document, '#sign-in-two'), async () => {
  const form = find(document, '#sign-in-two')
  const given = [1, 2].map((number) => [field(form, `name-${number}`), field(form, `password-${number}`)])
  const entered = await entering(find(document, '#welcome-fault'), async () => {
    for (const [name, password] of given) await people.signIn(name.value, password.value)
  })
  for (const [, password] of given) password.value = ''
  if (entered) begin()
})
find(document, '#leave').addEventListener('click', () => {
  people.leave()
  location.reload()
})

// -- somebody else ---------------------------------------------------------------------------------

/** Ask for a name and a password. @param {string} name what is known @returns {Promise<string | null>} who has signed in */
function askWho(name) {
  const dialog = /** @type {HTMLDialogElement} */ (find(document, '#who'))
  const [names, passwords] = [field(dialog, 'name'), field(dialog, 'password')]
  const fault = find(dialog, '.fault')
  names.value = name
  fault.hidden = true
  dialog.showModal()
  return new Promise((resolve) => {
    const controller = new AbortController()
    const { signal } = controller
    /** @type {string | null} */
    let entered = null
    find(dialog, 'form').addEventListener('submit', submitted, { signal })
    find(dialog, '[value="cancel"]').addEventListener('click', () => dialog.close(), { signal })
    dialog.addEventListener('close', closed, { signal })

    /** @param {Event} event */
    async function submitted(event) {
      event.preventDefault()
      if (!(await entering(fault, () => people.signIn(names.value, passwords.value)))) return
      entered = names.value
      dialog.close()
    }

    function closed() {
      controller.abort()
      passwords.value = ''
      resolve(entered)
    }
  })
}

// -- tabs ------------------------------------------------------------------------------------------

function begin() {
  if (panes.size) return // somebody was in a hurry, and asked twice
  find(document, '#welcome').hidden = true
  find(document, '#leave').hidden = false
  for (const name of enabled) {
    addTab(name)
    addPane(name)
  }
  find(document, '#playground').hidden = false
  const isWanted = enabled.includes(location.hash.slice(1))
  show(isWanted ? location.hash.slice(1) : enabled[0])
  addEventListener('hashchange', () => {
    if (enabled.includes(location.hash.slice(1))) show(location.hash.slice(1))
  })
}

/** @param {string} name */
function addTab(name) {
  const tab = make('button', '', name)
  tab.id = `tab-${name}`
  tab.dataset.protocol = name
  tab.setAttribute('type', 'button')
  tab.setAttribute('role', 'tab')
  tab.setAttribute('aria-controls', `pane-${name}`)
  tab.addEventListener('click', () => (location.hash = name))
  tab.addEventListener('keydown', (event) => {
    const at = enabled.indexOf(name)
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + enabled.length, Home: 0, End: enabled.length - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    const next = enabled[to % enabled.length]
    location.hash = next
    tabs.get(next)?.focus()
  })
  tabs.set(name, tab)
  find(document, '#tabs').append(tab)
}

/** @param {string} name */
function addPane(name) {
  const made = copy('pane')
  const root = find(made, '.pane')
  root.id = `pane-${name}`
  root.dataset.protocol = name
  root.hidden = true
  root.setAttribute('aria-labelledby', `tab-${name}`)
  find(root, '.says').textContent = PROTOCOLS[name].about
  find(root, '.docs').setAttribute('href', `docs/${name}`)
  find(root, '.asyncapi').setAttribute('href', `asyncapi/${name}.yaml`)
  if (name === 'market') find(root, '.about').append(copy('market-switch'))
  panes.set(name, new Pane(root, name, PROTOCOLS[name].made, people, about, askWho))
  find(document, '#panes').append(made)
}

/** @param {string} name */
function show(name) {
  document.title = `realtime: ${name}`
  for (const [each, pane] of panes) {
    pane.root.hidden = each !== name
    const tab = /** @type {HTMLElement} */ (tabs.get(each))
    tab.setAttribute('aria-selected', String(each === name))
    tab.tabIndex = each === name ? 0 : -1
  }
  tabs.get(name)?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  panes.get(name)?.show()
}

find(document, '#console-link').hidden = !enabled.includes('support')
if (people.isAnybody) begin()
else welcome()
