/**
 * The dashboard in Debian's Chromium: one browser for a test file, a page per test, and what must hold on every page:
 * nothing goes wrong in its scripts, its policy refuses nothing, and it asks no other host.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import { accessibilityProblems } from './accessibility.ts'

/** Where screenshots go, for eyes; nowhere by default. */
const pictures = process.env['DASHBOARD_PICTURES'] ?? ''

export interface Look {
  readonly width?: number
  readonly height?: number
  readonly isDark?: boolean
  readonly locale?: string
  /** Null: nobody logs in. */
  readonly login?: readonly [name: string, password: string] | null
}

/** What a page did that it must not. */
const wrongs = new WeakMap<Page, string[]>()

export class DashboardBrowser {
  readonly #url: string
  #browser: Promise<Browser> | null = null

  constructor(url: string) {
    this.#url = url
    after(async () => (await this.#browser)?.close())
  }

  async page(hash: string, look: Look = {}): Promise<Page> {
    this.#browser ??= chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] })
    const { width = 1280, height = 800, isDark = false, locale = 'en-GB', login = ['guest', 'guest'] } = look
    const page = await (await this.#browser).newPage({
      viewport: { width, height },
      colorScheme: isDark ? 'dark' : 'light',
      locale,
    })
    page.setDefaultTimeout(10_000)
    watch(page, this.#url)
    await page.goto(new URL(`/#${hash}`, this.#url).href)
    if (login !== null) await logIn(page, ...login)
    return page
  }
}

export async function logIn(page: Page, name: string, password: string): Promise<void> {
  await page.fill('input[name=name]', name)
  await page.fill('input[name=password]', password)
  await page.click('button[type=submit]')
  await page.waitForSelector('.shell')
}

/** Goes to another page of the dashboard. */
export async function visit(page: Page, hash: string): Promise<void> {
  await page.evaluate((to) => {
    ;(globalThis as unknown as { location: { hash: string } }).location.hash = to
  }, hash)
}

/** Nothing went wrong, and the page can be read by everybody; `name` is that of its picture. */
export async function fine(page: Page, name: string): Promise<void> {
  if (pictures !== '') {
    mkdirSync(pictures, { recursive: true })
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
  }
  assert.deepEqual(wrongs.get(page) ?? [], [])
  const problems = await page.evaluate(accessibilityProblems)
  assert.deepEqual(problems, [], `${name}: ${problems.join('\n')}`)
  const wider = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
  assert.ok(Number(wider) <= 0, `${name} is ${String(wider)} px wider than the window`)
}

function watch(page: Page, url: string): void {
  const found: string[] = []
  wrongs.set(page, found)
  page.on('pageerror', (error) => found.push(String(error.stack)))
  page.on('console', (message) => {
    // A refused request is told to the user by the page; the browser writes it down as well.
    const isRefusal = message.text().startsWith('Failed to load resource')
    if ((message.type() === 'error' || message.type() === 'warning') && !isRefusal) found.push(message.text())
  })
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) found.push(`asked ${request.url()}`)
  })
  page.on('dialog', (dialog) => {
    found.push(`a script ran: ${dialog.message()}`)
    void dialog.dismiss()
  })
}
