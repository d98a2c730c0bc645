/** The dashboard as the broker serves it: its files, its login, and its first page with real traffic, in Chromium. */
import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Broker } from '../../src/index.ts'
import { DashboardBrowser, fine } from '../support/dashboard-browser.ts'
import { eventually } from '../support/eventually.ts'
import { projectRoot } from '../support/project-root.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0 })
after(() => broker.stop({ drainMs: 100 }))
const { hostname, port } = new URL(broker.httpUrl)

interface Got {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: Buffer
}

/** As it stands, without what `fetch` makes of a path. */
function get(path: string, { method = 'GET', ...headers }: Record<string, string> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, method, headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      )
    })
    sent.on('error', reject)
    sent.end()
  })
}

async function scriptPath(): Promise<string> {
  const { body } = await get('/')
  const [, path = ''] = /src="\.(\/assets\/[^"]+\.js)"/.exec(body.toString()) ?? []
  return path
}

describe('the files of the dashboard', () => {
  it('are at most 60 KB for a browser, all together', () => {
    const folder = join(projectRoot, 'dist', 'ui')
    const packed = readdirSync(folder, { recursive: true })
      .map(String)
      .filter((path) => path.endsWith('.gz'))
    assert.ok(packed.length >= 4, packed.join())
    const bytes = packed.reduce((total, path) => total + statSync(join(folder, path)).size, 0)
    assert.ok(bytes <= 60_000, `${bytes} bytes`)
  })

  it('come with a policy that lets no foreign or inline code run', async () => {
    for (const path of ['/', await scriptPath()]) {
      const { status, headers } = await get(path)
      assert.equal(status, 200)
      const policy = String(headers['content-security-policy'])
      assert.match(policy, /default-src 'self'.*frame-ancestors 'none'.*require-trusted-types-for 'script'/)
      assert.doesNotMatch(policy, /unsafe|\*|https?:/)
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['x-frame-options'], 'DENY')
      assert.equal(headers['access-control-allow-origin'], undefined)
    }
    const { body } = await get('/')
    assert.doesNotMatch(body.toString(), /<script>|<style|style=|https?:|\son\w+=/)
  })

  it('are kept by browsers for as long as they are the same', async () => {
    const page = await get('/')
    assert.equal(page.headers['cache-control'], 'no-cache')
    assert.equal((await get('/', { 'if-none-match': String(page.headers['etag']) })).status, 304)
    const script = await get(await scriptPath())
    assert.equal(script.headers['cache-control'], 'public, max-age=31536000, immutable')
  })

  it('are packed for those who take it', async () => {
    const path = await scriptPath()
    const plain = await get(path)
    const packed = await get(path, { 'accept-encoding': 'br, gzip' })
    assert.equal(plain.headers['content-encoding'], undefined)
    assert.equal(packed.headers['content-encoding'], 'gzip')
    assert.equal(packed.headers['vary'], 'accept-encoding')
    assert.deepEqual(gunzipSync(packed.body), plain.body)
    assert.equal((await get(path, { 'accept-encoding': 'gzip;q=0' })).headers['content-encoding'], undefined)
    const head = await get(path, { method: 'HEAD' })
    assert.deepEqual([head.status, head.body.length], [200, 0])
    assert.equal(head.headers['content-length'], String(plain.body.length))
  })

  it('are all that can be read, and can only be read', async () => {
    const tricks = ['/index.html', '/assets/', '/assets/../../package.json', '/../package.json', '/%2e%2e/package.json']
    for (const path of [...tricks, '/assets/..%2f..%2fpackage.json', '//etc/passwd', '/index.html.gz', '/\\..\\x']) {
      assert.equal((await get(path)).status, 404, path)
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) assert.equal((await get('/', { method })).status, 405)
  })
})

if (hasCommands('chromium')) inBrowser()
else leftOut('the dashboard in Chromium', 'chromium')

function inBrowser(): void {
  const browser = new DashboardBrowser(broker.httpUrl)

  describe('the login', () => {
    it('refuses a wrong password in words, and lets nothing of it show', async () => {
      const page = await browser.page('/', { login: null })
      await page.fill('input[name=name]', 'guest')
      await page.fill('input[name=password]', 'wrong')
      await page.click('button[type=submit]')
      await page.getByRole('alert').getByText('wrong').waitFor()
      await fine(page, 'login')
      assert.equal(new URL(page.url()).search, '')
      await page.close()
    })

    it('is a session that no script can read, outlives the page, and ends', async () => {
      const page = await browser.page('/')
      const kept = (): Promise<unknown> =>
        page.evaluate('JSON.stringify({ ...sessionStorage, ...localStorage }) + document.cookie')
      assert.equal(await kept(), '{}')
      const [cookie] = await page.context().cookies()
      assert.deepEqual(
        [cookie?.name, cookie?.path, cookie?.httpOnly, cookie?.sameSite],
        [`warren-session-${port}`, '/api', true, 'Strict'],
      )
      await page.reload()
      await page.waitForSelector('.shell')
      await page.getByRole('button', { name: 'Log out' }).click()
      await page.waitForSelector('input[name=password]')
      assert.deepEqual(await page.context().cookies(), [])
      await page.reload()
      await page.waitForSelector('input[name=password]')
      await fine(page, 'logged-out')
      await page.close()
    })

    it('ends when the password is changed, and says so', async () => {
      const authorization = `Basic ${btoa('guest:guest')}`
      const put = async (password: string): Promise<void> => {
        const body = JSON.stringify({ password, tags: 'administrator' })
        await fetch(new URL('/api/users/changed', broker.httpUrl), { method: 'PUT', headers: { authorization }, body })
      }
      await put('first')
      const page = await browser.page('/', { login: ['changed', 'first'] })
      await put('second')
      await page.getByText('Your login is no longer valid').waitFor()
      await fine(page, 'login-ended')
      await page.close()
    })

    it('needs a tag', async () => {
      const authorization = `Basic ${btoa('guest:guest')}`
      const body = JSON.stringify({ password: 'x', tags: '' })
      await fetch(new URL('/api/users/nobody', broker.httpUrl), { method: 'PUT', headers: { authorization }, body })
      const page = await browser.page('/', { login: null })
      await page.fill('input[name=name]', 'nobody')
      await page.fill('input[name=password]', 'x')
      await page.click('button[type=submit]')
      await page.getByRole('alert').getByText('none of the tags').waitFor()
      await page.close()
    })

    it('says so where there is no JavaScript', async () => {
      const { body } = await get('/')
      assert.match(body.toString(), /<noscript>\s*<p>This is Warren, a message broker/)
    })
  })

  describe('the overview', () => {
    it('shows rates while messages flow, in charts too', async () => {
      const client = await broker.connect()
      const queue = client.queue('flow')
      const consumer = await queue.consume(() => {})
      let isOver = false
      const sending = (async () => {
        while (!isOver) {
          await queue.send({ n: 1 })
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      })()
      try {
        const page = await browser.page('/')
        for (const tile of ['publish', 'deliver_get', 'ack']) {
          await eventually(`a rate in ${tile}`, async () => {
            const text = await page.locator(`[data-tile=${tile}]`).textContent()
            return Number.parseFloat(text ?? '') > 5
          })
        }
        await page.waitForSelector('.chart canvas')
        await page.getByText('All is well').waitFor()
        await fine(page, 'overview')
        await page.getByLabel('Colours').selectOption('dark')
        await fine(page, 'overview-dark')
        await page.getByLabel('Language').selectOption('zh')
        await page.getByText('一切正常').waitFor()
        await fine(page, 'overview-zh')
        await page.close()
        const phone = await browser.page('/', { width: 360, height: 740 })
        await phone.getByRole('button', { name: 'Menu' }).click()
        await phone.getByRole('link', { name: 'Queues' }).first().waitFor()
        await fine(phone, 'overview-phone')
        await phone.close()
      } finally {
        isOver = true
        await sending
        await consumer.stop()
        await client.close()
      }
    })

    it('stops asking while nobody looks, and says when the broker is gone', async () => {
      const lonely = await Broker.start({ storage: 'memory', httpPort: 0 })
      const page = await new DashboardBrowser(lonely.httpUrl).page('/')
      await page.getByText('All is well').waitFor()
      await lonely.stop({ drainMs: 0 })
      await page.getByText('does not answer').waitFor()
      await page.close()
    })
  })
}
