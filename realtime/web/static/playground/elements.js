/** Finding and making parts of the page. Text goes in as text; nothing here reads HTML. */

/** The one element that is there by the page's making. @template {HTMLElement} [T=HTMLElement] @param {ParentNode} root @param {string} selector @returns {T} */
export function find(root, selector) {
  const found = root.querySelector(selector)
  if (!found) throw new Error(`the page has no ${selector}`)
  return /** @type {T} */ (found)
}

/** A field by its name. @param {ParentNode} root @param {string} name @returns {HTMLInputElement} */
export function field(root, name) {
  return find(root, `[name="${name}"]`)
}

/** What a template holds, once more. @param {string} id @returns {DocumentFragment} */
export function copy(id) {
  const template = /** @type {HTMLTemplateElement} */ (find(document, `template#${id}`))
  return /** @type {DocumentFragment} */ (template.content.cloneNode(true))
}

/** @param {string} tag @param {string} className @param {...(string | Node)} children @returns {HTMLElement} */
export function make(tag, className, ...children) {
  const made = document.createElement(tag)
  if (className) made.className = className
  made.append(...children)
  return made
}

/** Do something with what a form holds, instead of what a browser would. @param {HTMLElement} form @param {() => void} act */
export function onSubmit(form, act) {
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    act()
  })
}

/** Say what was typed, and empty the field for the next. @param {HTMLElement} form @param {(text: string) => void} say */
export function onSay(form, say) {
  const text = field(form, 'text')
  onSubmit(form, () => {
    if (!text.value.trim()) return
    say(text.value)
    text.value = ''
  })
}

/** Give a control options, and keep what is chosen. @param {HTMLSelectElement} select @param {[value: string, label: string][]} options */
export function setOptions(select, options) {
  const chosen = select.value
  const isSame = options.length === select.length && options.every(([value], at) => select.options[at].value === value)
  if (isSame) {
    for (const [at, [, label]] of options.entries()) select.options[at].textContent = label
    return
  }
  select.replaceChildren(...options.map(([value, label]) => new Option(label, value)))
  if (options.some(([value]) => value === chosen)) select.value = chosen
}
