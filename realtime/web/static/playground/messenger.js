/** messenger: one room, private dialogs with their receipts, who is there, and their pictures. */

import { Messenger } from '../client.js'
import { field, find, make, onSay, onSubmit, setOptions } from './elements.js'
import { Log } from './log.js'
import { pendingKey, Side } from './side.js'

const ROOM = 'room'

/** @extends {Side<Messenger>} */
class MessengerSide extends Side {
  /** Everybody who was ever here, by id. @type {Map<string, string>} */
  #names = new Map()
  /** What was told live has no id: it is known again by what it is. @type {Set<string>} */
  #drawn = new Set()
  #count = 0

  /** @param {import('./pane.js').Pane} pane @param {HTMLElement} root */
  constructor(pane, root) {
    super(pane, root)
    this.log = new Log(find(root, '.log'))
    /** @type {HTMLSelectElement} */
    this.to = find(root, '[name="to"]')
    onSay(find(root, '.say'), (text) => {
      if (this.to.value === ROOM) this.connection?.say(text)
      else this.connection?.dialog(this.to.value, { message: text })
    })
    onSubmit(find(root, '.profile'), () => this.#changeProfile())
    const picture = field(root, 'picture')
    picture.addEventListener('change', () => this.#savePicture(picture))
    pane.people.addEventListener('changed', () => this.#drawReceivers())
  }

  /** @param {string} token */
  make(token) {
    return new Messenger(this.pane.people.server, token)
  }

  reset() {
    this.log.clear()
    this.#drawn.clear()
    this.#names.clear()
    this.#drawUsers()
  }

  /** @param {Messenger} messenger */
  listen(messenger) {
    this.hear(messenger, 'ready', () => this.#ready(messenger))
    this.hear(messenger, 'user', () => this.#drawUsers())
    this.hear(messenger, 'message', ({ message, sender, sendTime }) => this.#room(`room ${++this.#count}`, message, sender, sendTime))
    this.hear(messenger, 'dialog', (dialog) => this.#dialog(dialog))
    this.hear(messenger, 'outgoing', (outgoing) => this.#draws(outgoing))
  }

  stateChanged() {
    this.#drawUsers()
  }

  /** @param {Messenger} messenger */
  async #ready(messenger) {
    this.#drawUsers()
    const peer = this.pane.people.idOf(this.other.name)
    const [room, dialogs] = await Promise.all([
      messenger.history({ limit: 20 }),
      peer ? messenger.history({ peer, limit: 20 }) : [],
    ]).catch(() => [[], []]) // the connection is lost: again, when it is back
    if (messenger !== this.connection) return
    for (const { sender, sendTime, message, messageId } of /** @type {import('../client.js').RoomMessage[]} */ (room)) {
      if (!this.#drawn.has(`${sender} ${sendTime} ${message}`)) this.#room(`past ${messageId}`, message, sender, sendTime)
    }
    for (const dialog of /** @type {import('../client.js').Dialog[]} */ (dialogs)) this.#dialog(dialog)
  }

  /** @param {string} key @param {string} text @param {string} sender @param {string} sendTime */
  #room(key, text, sender, sendTime) {
    this.#drawn.add(`${sender} ${sendTime} ${text}`)
    const own = sender === this.connection?.userId
    this.log.put(key, { text, own, by: own ? '' : this.#nameOf(sender), note: 'in the room', time: seconds(sendTime) })
  }

  /** @param {import('../client.js').Dialog} dialog */
  #dialog({ messageId, sender, receiver, sendTime, clientData }) {
    const own = sender === this.connection?.userId
    const key = `dialog ${messageId}`
    if (this.log.has(key)) return // what became of it is told already
    const text = typeof clientData?.message === 'string' ? clientData.message : JSON.stringify(clientData)
    const note = own ? `privately to ${this.#nameOf(receiver ?? '')}` : 'privately'
    this.log.put(key, { text, own, by: own ? '' : this.#nameOf(sender), note, time: seconds(sendTime) })
  }

  /** @param {import('../client.js').Outgoing} outgoing */
  #draws(outgoing) {
    const { receiver, clientData, message } = outgoing.body
    const key = pendingKey(outgoing)
    if (receiver === undefined) {
      if (outgoing.state === 'stored') this.log.drop(key) // what comes back of it is drawn
      else this.drawPending(this.log, outgoing, message)
      return
    }
    const by = `privately to ${this.#nameOf(receiver)}`
    const unsent = outgoing.state !== 'stored'
    const note = { sent: '✓ sent, not delivered yet', stored: '✓✓ delivered' }[String(outgoing.state)]
    this.drawPending(this.log, outgoing, clientData.message, { by, unsent, ...(note && { note }), time: Math.floor(Date.now() / 1000) })
    if (!unsent) outgoing.done.then(({ messageId }) => this.log.rename(key, `dialog ${messageId}`))
  }

  #changeProfile() {
    const changes = { nickname: field(this.root, 'nickname').value.trim(), status: field(this.root, 'status').value.trim() }
    const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value))
    if (this.connection) this.told(this.connection.changeProfile(given))
  }

  /** @param {HTMLInputElement} input */
  #savePicture(input) {
    const file = input.files?.[0]
    const messenger = this.connection
    if (!file || !messenger) return
    const reader = new FileReader()
    reader.addEventListener('load', () => this.told(messenger.saveAvatar(String(reader.result))))
    reader.readAsDataURL(file)
    input.value = ''
  }

  /** @param {string} id */
  #nameOf(id) {
    return this.#names.get(id) ?? this.pane.people.names.find((name) => this.pane.people.idOf(name) === id) ?? `user ${id}`
  }

  #drawUsers() {
    const messenger = this.connection
    const isOpen = messenger?.state === 'open' || messenger?.state === 'connecting'
    const users = isOpen ? [...messenger.users.values()] : []
    for (const { userId, nickname } of users) this.#names.set(userId, nickname)
    const list = find(this.root, '.users')
    list.replaceChildren()
    for (const { userId, nickname, avatar, status } of users) {
      const face = make('span', 'face', nickname.slice(0, 1).toUpperCase())
      face.setAttribute('aria-hidden', 'true')
      if (avatar) {
        const picture = document.createElement('img')
        picture.src = new URL(avatar.replace(/^\//, ''), this.pane.people.server).href
        picture.alt = ''
        face.replaceChildren(picture)
      }
      const line = make('li', '', face, ' ', make('span', '', nickname))
      if (userId === messenger?.userId) line.append(make('span', 'hint', ' (you)'))
      if (status) line.append(' ', make('span', 'hint', status))
      list.append(line)
    }
    find(this.root, '.alone').hidden = users.length > 0
    this.#drawReceivers()
  }

  /** Who can be written to: whoever is here, and whoever has signed in on this page and is away. */
  #drawReceivers() {
    const { people } = this.pane
    const others = new Map(this.#names)
    for (const name of people.names) {
      const id = people.idOf(name)
      if (id && !others.has(id)) others.set(id, name)
    }
    others.delete(this.connection?.userId ?? '')
    setOptions(this.to, [[ROOM, 'the room'], ...[...others].map(([id, name]) => /** @type {[string, string]} */ ([id, `${name}, privately`]))])
  }
}

/** A moment that the server tells: in seconds, or in milliseconds where it is set so. @param {string} sendTime */
function seconds(sendTime) {
  const number = Number(sendTime)
  return number > 1e11 ? Math.floor(number / 1000) : number
}

/** @type {import('./pane.js').Protocol} */
export const messenger = {
  Side: MessengerSide,
  describe: (_direction, { type, status, serverData }) => ({
    name: [type, status ?? serverData?.connectionStatus].filter(Boolean).join(' '),
  }),
}
