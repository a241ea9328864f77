/** workspace: channels by event and over HTTP, who is present, and what was missed given back. */

import { ConnectionLost, Workspace } from '../client.js'
import { field, find, make, onSay, onSubmit, setOptions } from './elements.js'
import { Log } from './log.js'
import { pendingKey, Side } from './side.js'

/** @typedef {import('../client.js').Channel} Channel */
/** @typedef {import('../client.js').ChannelMessage} ChannelMessage */

/** @extends {Side<Workspace>} */
class WorkspaceSide extends Side {
  /** @type {Map<string, Channel>} */
  #channels = new Map()
  /** @type {Map<string, import('../client.js').Member>} */
  #members = new Map()
  #wasLost = false

  /** @param {import('./pane.js').Pane} pane @param {HTMLElement} root */
  constructor(pane, root) {
    super(pane, root)
    this.log = new Log(find(root, '.log'))
    /** @type {HTMLSelectElement} */
    this.channel = find(root, '[name="channel"]')
    this.channel.addEventListener('change', () => this.#read())
    onSay(find(root, '.say'), (text) => {
      if (this.channel.value) this.connection?.send(this.channel.value, text)
      else this.fault('Make a channel first.')
    })
    onSubmit(find(root, '.create'), () => this.#create())
    const status = field(root, 'status')
    status.addEventListener('change', () => {
      const wanted = /** @type {import('../client.js').OnlineStatus} */ (status.value)
      if (this.connection) this.told(this.connection.setStatus(wanted))
    })
  }

  /** @param {string} token */
  make(token) {
    const onlineStatus = /** @type {import('../client.js').OnlineStatus} */ (field(this.root, 'status').value)
    return new Workspace(this.pane.people.server, token, { onlineStatus })
  }

  reset() {
    this.log.clear()
    this.#channels.clear()
    this.#members.clear()
    this.#wasLost = false
    this.#drawChannels()
    this.#drawMembers()
  }

  /** @param {Workspace} workspace */
  listen(workspace) {
    this.hear(workspace, 'ready', ({ recovered }) => this.#ready(recovered))
    this.hear(workspace, 'channel-created', (channel) => this.#put(channel))
    this.hear(workspace, 'channel-updated', (channel) => this.#put(channel))
    this.hear(workspace, 'channel-deleted', ({ channelId }) => {
      this.#channels.delete(channelId)
      this.#drawChannels()
    })
    this.hear(workspace, 'message-created', (message) => this.#heard(message))
    this.hear(workspace, 'online-status-updated', ({ userId, onlineStatus }) => {
      const member = this.#members.get(userId)
      if (member) this.#members.set(userId, { ...member, onlineStatus })
      this.#drawMembers()
    })
    this.hear(workspace, 'user-joined', () => this.#readMembers())
    this.hear(workspace, 'outgoing', (outgoing) => this.#draws(outgoing))
    this.hear(workspace, 'socket-api-error', ({ event, message }) => this.fault(`${event}: ${message}`))
  }

  /** @param {import('../client.js').StateDetail} detail */
  stateChanged({ state }) {
    if (state === 'waiting' || state === 'ended') this.#wasLost = true
  }

  /** @param {boolean} recovered */
  async #ready(recovered) {
    if (this.#wasLost) {
      this.log.tell(recovered ? 'Back, as who it was: what was missed comes now, in order.' : 'Back, and begun anew: what was missed is read over HTTP.')
      this.#wasLost = false
    }
    if (recovered) return
    try {
      const { channels } = await this.#ask('GET', 'channels', { limit: 30 })
      for (const channel of channels.reverse()) this.#channels.set(channel.id, channel)
      this.#drawChannels()
      await Promise.all([this.#readMembers(), this.#read()])
    } catch (error) {
      if (!(error instanceof ConnectionLost)) this.fault(error instanceof Error ? error.message : '')
    }
  }

  async #readMembers() {
    const { members } = await this.#ask('GET', 'members', { limit: 30 })
    this.#members = new Map(members.map((/** @type {import('../client.js').Member} */ each) => [each.id, each]))
    this.#drawMembers()
  }

  /** Ask the HTTP side, and put that on the wire as well. @param {string} method @param {string} path @param {Record<string, any>} more @returns {Promise<any>} */
  async #ask(method, path, more = {}) {
    const workspace = /** @type {Workspace} */ (this.connection)
    const http = `${method} /v1/workspaces/${workspace.workspace}/${path}`
    this.wired('out', `${http}\n${JSON.stringify(more)}`, { http, given: more })
    try {
      const answer = await workspace.http(method, path, more)
      this.wired('in', JSON.stringify(answer), { http: `answer to ${http}`, answer })
      return answer
    } catch (error) {
      this.wired('in', String(error), { http: `answer to ${http}`, error: String(error) })
      throw error
    }
  }

  async #create() {
    const name = field(this.root, 'name')
    const isPrivate = field(this.root, 'private').checked
    const workspace = this.connection
    if (!workspace) return
    const isHttp = field(this.root, 'way').value === 'http'
    const made = await this.told(isHttp ? this.#ask('POST', 'channels', { name: name.value, isPrivate }) : workspace.createChannel(name.value, { isPrivate }))
    if (!made || workspace !== this.connection) return
    name.value = ''
    this.#put(made)
    this.channel.value = made.id
    this.#read()
  }

  /** @param {Channel} channel */
  #put(channel) {
    const isFirst = !this.#channels.size
    this.#channels.set(channel.id, channel)
    this.#drawChannels()
    if (isFirst) this.#read()
  }

  /** Read the chosen channel. */
  async #read() {
    const { value: id } = this.channel
    this.log.clear()
    if (!id) return
    const read = await this.told(this.#ask('GET', `channels/${id}/messages`, { limit: 50 }))
    if (id === this.channel.value) for (const message of read?.messages ?? []) this.#heard(message)
  }

  /** @param {ChannelMessage} message */
  #heard({ id, channelId, userId, text, createdAt }) {
    const own = userId === this.connection?.userId
    const where = channelId === this.channel.value ? '' : this.#channels.get(channelId)?.name
    if (where === undefined) return
    const by = own ? '' : (this.#members.get(userId)?.name ?? `user ${userId}`)
    const waiting = this.connection?.outbox.find((each) => own && each.state === 'sent' && each.body.text === text)
    if (waiting) this.log.rename(pendingKey(waiting), id)
    if (where) {
      if (!own) this.log.tell(`${by} has said something in ${where}.`)
      return
    }
    this.log.put(id, { text, own, by, note: own ? '✓ stored' : '', time: Date.parse(createdAt) })
  }

  /** @param {import('../client.js').Outgoing} outgoing */
  #draws(outgoing) {
    if (outgoing.state !== 'stored') this.drawPending(this.log, outgoing, outgoing.body.text)
    else {
      outgoing.done.then((message) => {
        this.log.drop(pendingKey(outgoing))
        this.#heard(message)
      })
    }
  }

  #drawChannels() {
    const options = [...this.#channels.values()].map(({ id, name, is_private: isPrivate }) => /** @type {[string, string]} */ ([id, `${isPrivate ? '🔒' : '#'} ${name}`]))
    setOptions(this.channel, options)
    this.channel.hidden = !options.length
    find(this.root, '.none').hidden = options.length > 0
    find(this.root, '.within').hidden = !options.length
  }

  #drawMembers() {
    const list = find(this.root, '.members')
    list.replaceChildren()
    for (const { id, name, onlineStatus } of this.#members.values()) {
      const line = make('li', '', make('span', '', name), make('span', 'visually-hidden', ` is ${onlineStatus}`))
      line.dataset.status = onlineStatus
      line.title = onlineStatus
      if (id === this.connection?.userId) line.append(make('span', 'hint', ' (you)'))
      list.append(line)
    }
  }
}

/** @type {import('./pane.js').Protocol} */
export const workspace = {
  Side: WorkspaceSide,
  describe: (direction, decoded) => {
    if (decoded.http) return { name: decoded.http }
    if (decoded.ping || decoded.pong) return { name: decoded.ping ? 'ping' : 'pong', isHeartbeat: true }
    if (decoded.event) return { name: decoded.event }
    if (decoded.acknowledged !== undefined) return { name: `acknowledgement of ${decoded.acknowledged}` }
    return { name: Object.keys(decoded)[0] ?? (direction === 'in' ? 'packet' : '') }
  },
}
