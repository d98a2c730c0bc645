/**
 * What screen readers, keyboards and weak eyes need of a page, checked in the page itself: names of controls and
 * pictures, one heading of the first rank, headers of tables, landmarks, ids that are unique, and contrast (WCAG 2.2,
 * 1.1.1, 1.3.1, 1.4.3, 2.4.6, 2.5.8, 3.1.1, 4.1.2). Not a replacement for listening to it.
 */

/** The little of the browser that is used; the tests are compiled without its types. */
interface Box {
  readonly width: number
  readonly height: number
}
interface Element {
  readonly tagName: string
  readonly id: string
  readonly children: Iterable<Element>
  readonly childNodes: Iterable<{ readonly nodeType: number; readonly textContent: string | null }>
  readonly parentElement: Element | null
  readonly textContent: string | null
  readonly labels?: Iterable<Element> | null
  readonly disabled?: boolean
  readonly type?: string
  getAttribute(name: string): string | null
  hasAttribute(name: string): boolean
  closest(selector: string): Element | null
  querySelector(selector: string): Element | null
  querySelectorAll(selector: string): Iterable<Element>
  getBoundingClientRect(): Box
  checkVisibility(options: object): boolean
}
interface Style {
  readonly color: string
  readonly backgroundColor: string
  readonly fontSize: string
  readonly fontWeight: string
  readonly display: string
}

/** Sentences; empty when all is well. Runs in the browser, so everything it needs is inside. */
export function accessibilityProblems(): string[] {
  const world = globalThis as unknown as {
    document: Element & { documentElement: Element; title: string }
    getComputedStyle(element: Element): Style
  }
  const { document } = world
  const problems: string[] = []
  const all = (selector: string): Element[] => [...document.querySelectorAll(selector)].filter(isShown)
  const tell = (what: string, element: Element): void => {
    const start = (element.textContent ?? '').trim().slice(0, 40)
    problems.push(`${what}: <${element.tagName.toLowerCase()}> "${start}"`)
  }

  function isShown(element: Element): boolean {
    return element.checkVisibility({ visibilityProperty: true }) && element.closest('[aria-hidden=true]') === null
  }

  function nameOf(element: Element): string {
    const labels = [...(element.labels ?? [])].map((label) => label.textContent ?? '').join(' ')
    const title = element.querySelector('title')?.textContent ?? ''
    const own = element.tagName === 'SELECT' ? '' : (element.textContent ?? '')
    return [element.getAttribute('aria-label'), element.getAttribute('title'), labels, title, own].join('').trim()
  }

  if (!document.documentElement.hasAttribute('lang')) problems.push('the page has no language')
  if (document.title === '') problems.push('the page has no title')
  if (all('h1').length !== 1) problems.push(`the page has ${all('h1').length} headings of rank 1`)
  if (all('main').length !== 1) problems.push('the page has not one <main>')
  for (const element of all('a[href], button, input, select, textarea, summary')) {
    if (nameOf(element) === '') tell('has no name', element)
  }
  for (const element of all('svg, img')) {
    const role = element.getAttribute('role')
    if (element.tagName === 'IMG' ? !element.hasAttribute('alt') : role !== 'img' || nameOf(element) === '') {
      tell('is a picture without a name', element)
    }
  }
  for (const table of all('table')) {
    if (table.querySelector('caption') === null) tell('has no caption', table)
    if (table.querySelector('thead th[scope=col]') === null) tell('has no column headers', table)
  }
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
  for (const id of new Set(ids.filter((one, index) => ids.indexOf(one) !== index))) problems.push(`two have id ${id}`)
  let rank = 1
  for (const heading of all('h1, h2, h3, h4')) {
    const next = Number(heading.tagName[1])
    if (next > rank + 1) tell(`rank ${next} after ${rank}`, heading)
    rank = next
  }
  for (const element of all('button, input, select, summary')) {
    const box = element.getBoundingClientRect()
    const isTiny = box.width > 2 && (box.height < 23.5 || box.width < 23.5)
    const isInLabel = element.closest('label') !== null
    if (isTiny && !isInLabel) tell(`is ${Math.round(box.width)} × ${Math.round(box.height)} px`, element)
  }
  for (const element of all('main *, .side *, .bar *')) {
    const hasText = [...element.childNodes].some(
      (node) => node.nodeType === 3 && (node.textContent ?? '').trim() !== '',
    )
    if (!hasText || element.disabled === true || element.closest('svg, button:disabled, option') !== null) continue
    const style = world.getComputedStyle(element)
    const isLarge = Number.parseFloat(style.fontSize) >= 24
    const ratio = contrast(rgb(style.color), groundOf(element))
    if (ratio < (isLarge ? 3 : 4.5)) tell(`has a contrast of ${ratio.toFixed(2)}`, element)
  }

  function groundOf(element: Element): number[] {
    for (let at: Element | null = element; at !== null; at = at.parentElement) {
      const [red = 0, green = 0, blue = 0, alpha = 1] = rgb(world.getComputedStyle(at).backgroundColor)
      if (alpha > 0.99) return [red, green, blue]
    }
    return [255, 255, 255]
  }

  function rgb(text: string): number[] {
    return (text.match(/[\d.]+/g) ?? []).map(Number)
  }

  function contrast(a: readonly number[], b: readonly number[]): number {
    const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((one, other) => other - one)
    return (light + 0.05) / (dark + 0.05)
  }

  function luminance([red = 0, green = 0, blue = 0]: readonly number[]): number {
    const [r = 0, g = 0, b = 0] = [red, green, blue].map((part) => {
      const share = part / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }

  return problems
}
