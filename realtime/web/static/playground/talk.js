/** talk: two strangers from the search to each other's answers, with the phases and their clocks. */

import { Talk } from '../client.js'
import { field, find, make, onSay, onSubmit } from './elements.js'
import { Log } from './log.js'
import { Side } from './side.js'

/** @typedef {Talk['phase']} Phase */

/** Which of a phase's times the server says. @type {Partial<Record<Phase, string>>} */
const LASTS = { queued: 'find', confirming: 'confirm', talking: 'talk', answering: 'answer' }
/** @type {Phase[]} */
const PHASES = ['idle', 'queued', 'confirming', 'talking', 'answering', 'over']
const QUESTIONS = [
  ['Am I boring?', 'Would you talk to me again?'],
  ['Did you like the talk?'],
]

/** @extends {Side<Talk>} */
class TalkSide extends Side {
  /** @type {Phase | null} */
  #drawn = null
  #since = 0
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking
  /** @type {import('../client.js').Answer[] | null} */
  #answers = null

  /** @param {import('./pane.js').Pane} pane @param {HTMLElement} root */
  constructor(pane, root) {
    super(pane, root)
    this.log = new Log(find(root, '.log'))
    const score = field(root, 'score')
    score.addEventListener('input', () => (find(root, '.score').textContent = score.value))
    const isFirst = pane.sides.length === 0
    score.value = isFirst ? '0.3' : '0.35'
    find(root, '.score').textContent = score.value
    field(root, 'questions').value = QUESTIONS[isFirst ? 0 : 1].join('\n')
    onSubmit(find(root, '.find'), () => this.#find())
    this.does('confirm', () => {
      if (this.connection?.confirm()) this.#note('You have confirmed. The talk begins when both have.')
    })
    onSay(find(root, '.say'), (text) => {
      if (this.connection?.say(text)) this.log.put(`own ${performance.now()}`, { text, own: true })
    })
    onSubmit(find(root, '.answers'), () => this.#answer())
    this.does('anew', () => this.sit(this.name))
  }

  /** @param {string} token */
  make(token) {
    return new Talk(this.pane.people.server, token)
  }

  reset() {
    this.log.clear()
    this.#drawn = null
    this.#answers = null
    this.#note('')
    this.#draw()
  }

  /** @param {Talk} talk */
  listen(talk) {
    this.hear(talk, 'match', ({ username }) => {
      this.#draw()
      this.#note('')
      find(this.root, '.partner').textContent = username
    })
    this.hear(talk, 'chat-start', () => {
      this.#draw()
      this.#note('')
    })
    this.hear(talk, 'message', ({ message }) => this.log.put(`in ${performance.now()}`, { text: message, by: talk.match?.username }))
    this.hear(talk, 'chat-stop', ({ questions }) => {
      this.#drawQuestions(questions)
      this.#draw()
    })
    this.hear(talk, 'answers', ({ answers }) => {
      this.#answers = answers
      this.#draw()
    })
    this.hear(talk, 'error', ({ message, code }) => this.fault(`${message} (${code})`))
  }

  /** @param {import('../client.js').StateDetail} detail */
  stateChanged({ state }) {
    if (state === 'open') this.#since = Date.now() // a search that was lost begins anew
    queueMicrotask(() => this.#draw()) // it says `open` first, then goes on with the search
  }

  #find() {
    const questions = field(this.root, 'questions').value.split('\n').map((line) => line.trim()).filter(Boolean)
    const asked = questions.slice(0, 20).map((question, at) => ({ id: at + 1, question }))
    this.connection?.find(Number(field(this.root, 'score').value), asked)
    this.#draw()
  }

  #answer() {
    const questions = this.connection?.questions ?? []
    const fields = /** @type {NodeListOf<HTMLInputElement>} */ (this.root.querySelectorAll('.answers input'))
    const answers = questions.map(({ id }, at) => ({ question_id: id, answer: fields[at].value }))
    if (this.connection?.answer(answers)) {
      this.fault('')
      this.#note('Sent. You may correct it until both have answered.')
    }
  }

  /** @param {import('../client.js').Question[]} questions */
  #drawQuestions(questions) {
    const list = find(this.root, '.questions')
    list.replaceChildren()
    for (const { question } of questions) {
      const input = document.createElement('input')
      input.maxLength = 4000
      input.required = true
      list.append(make('label', 'field', make('span', '', question), input))
    }
    if (!questions.length) list.append(make('p', 'hint', 'Your partner has no questions: send an empty answer.'))
  }

  /** @param {string} text */
  #note(text) {
    find(this.root, '.note').textContent = text
  }

  #draw() {
    const phase = this.connection?.phase ?? 'idle'
    if (phase === this.#drawn) return
    const hadFocus = this.root.querySelector('.body')?.contains(document.activeElement)
    this.#drawn = phase
    this.root.dataset.phase = phase
    this.#since = Date.now()
    for (const step of /** @type {NodeListOf<HTMLElement>} */ (this.root.querySelectorAll('.phases > li'))) {
      const at = PHASES.indexOf(/** @type {Phase} */ (step.dataset.phase))
      step.toggleAttribute('data-done', at < PHASES.indexOf(phase))
      if (step.dataset.phase === phase) step.setAttribute('aria-current', 'step')
      else step.removeAttribute('aria-current')
    }
    for (const part of /** @type {NodeListOf<HTMLElement>} */ (this.root.querySelectorAll('[data-when]'))) {
      part.hidden = !part.dataset.when?.split(' ').includes(phase)
    }
    if (phase === 'over') this.#drawEnd()
    if (hadFocus) {
      const next = [...this.root.querySelectorAll('[data-when]:not([hidden])')].flatMap((part) => [...part.querySelectorAll('input, button')])
      const first = /** @type {HTMLElement | undefined} */ (next[0])
      first?.focus({ preventScroll: true })
    }
    clearInterval(this.#ticking)
    if (LASTS[phase]) this.#ticking = setInterval(() => this.#tick(), 200)
    this.#tick()
  }

  #tick() {
    const seconds = this.pane.about.talk?.[LASTS[this.#drawn ?? 'idle'] ?? '']
    const clock = find(this.root, '.clock')
    clock.hidden = !seconds
    if (!seconds) return
    const left = Math.max(0, seconds - (Date.now() - this.#since) / 1000)
    find(clock, 'b').textContent = `${Math.ceil(left)} s`
    find(clock, '.run').style.width = `${(100 * left) / seconds}%`
  }

  #drawEnd() {
    const talk = this.connection
    const list = find(this.root, '.told')
    list.replaceChildren()
    const asked = new Map(talk?.search?.questions.map(({ id, question }) => [String(id), question]))
    for (const { question_id: id, answer } of this.#answers ?? []) {
      list.append(make('dt', '', asked.get(String(id)) ?? String(id)), make('dd', '', answer))
    }
    find(this.root, '.outcome').textContent = !this.#answers
      ? 'The talk is over.'
      : this.#answers.length
        ? `${talk?.match?.username} has answered you:`
        : 'Both have answered.'
    this.#note('')
  }
}

/** @type {import('./pane.js').Protocol} */
export const talk = {
  Side: TalkSide,
  describe: (_direction, { event }) => ({ name: event }),
}
