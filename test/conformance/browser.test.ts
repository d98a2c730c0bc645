/**
 * A web page as a client: it publishes and consumes over WebSocket, in Debian's Chromium. The page is served here, on the
 * loopback, and says by a POST what became of it.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'
import { build } from 'esbuild'
import { Broker } from '../../src/index.ts'
import { projectRoot } from '../support/project-root.ts'
import { removeFolder } from '../support/remove-folder.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

/** How long the browser may take from its start to its last word. */
const pageMsMax = 60_000

const broker = await Broker.start({ storage: 'memory', httpPort: 0 })
after(() => broker.stop({ drainMs: 100 }))

if (hasCommands('chromium')) {
  void it('a page publishes 1,000 confirmed messages and consumes them, by a client library', async () => {
    const said = await inBrowser(libraryPage, brokerUrl('localhost'))
    assert.deepEqual(said, { confirmed: 1_000, consumed: 1_000, isInOrder: true })
  })

  void it('a page sends and consumes by the client of this package', async () => {
    const said = await inBrowser(clientPage, brokerUrl('localhost'))
    assert.deepEqual(said, { confirmed: 1_000, consumed: 1_000, isInOrder: true })
  })

  void it('a page of another host than the broker may not connect', async () => {
    const said = await inBrowser(plainPage, brokerUrl('127.0.0.1'))
    assert.deepEqual(said, { opened: false })
    assert.deepEqual(await inBrowser(plainPage, brokerUrl('localhost')), { opened: true })
  })

  void it('a page of an origin that is named publishes and consumes by HTTP, without a client library', async () => {
    const limits = { httpOrigins: 'https://shop.example' }
    const strict = await Broker.start({ storage: 'memory', httpPort: 0, limits })
    const open = await Broker.start({ storage: 'memory', httpPort: 0, limits: { httpOrigins: '*' } })
    try {
      const said = await inBrowser(httpPage, open.httpUrl)
      assert.deepEqual(said, { consumed: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'], left: 0 })
      assert.deepEqual(await inBrowser(httpPage, strict.httpUrl), { failed: 'TypeError: Failed to fetch' })
    } finally {
      await Promise.all([open.stop({ drainMs: 100 }), strict.stop({ drainMs: 100 })])
    }
  })
} else leftOut('a web page in Chromium', 'chromium')

function brokerUrl(host: string): string {
  return `ws://${host}:${new URL(broker.httpUrl).port}/ws`
}

/** Resolves with what the page has to say. `page` is the body of an async function of the broker's URL. */
async function inBrowser(page: string, url: string): Promise<unknown> {
  const script = await bundled(page, url)
  const profile = mkdtempSync(join(tmpdir(), 'warren-chromium-'))
  let heard: (said: unknown) => void = () => {}
  const said = new Promise<unknown>((resolve) => {
    heard = resolve
  })
  const pages = createServer((request, response) => {
    if (request.method === 'POST') {
      let text = ''
      request.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      request.on('end', () => heard(JSON.parse(text)))
    }
    response.setHeader('content-type', request.url === '/page.js' ? 'text/javascript' : 'text/html; charset=utf-8')
    response.end(request.url === '/page.js' ? script : '<!doctype html><script src="/page.js"></script>')
  })
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
  const address = pages.address()
  assert.ok(address !== null && typeof address === 'object')
  const flags = [...chromiumFlags, `--user-data-dir=${profile}`, `http://localhost:${address.port}/`]
  const browser = spawn('chromium', flags, { stdio: 'ignore', detached: true })
  const gone = once(browser, 'close')
  const timer = setTimeout(() => heard({ failed: `nothing within ${pageMsMax} ms` }), pageMsMax)
  try {
    return await Promise.race([said, gone.then(() => ({ failed: 'the browser has ended' }))])
  } finally {
    clearTimeout(timer)
    end(browser.pid)
    await gone
    pages.close()
    pages.closeAllConnections()
    removeFolder(profile)
  }
}

/** The browser with all of its processes, which are a group of their own. */
function end(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}

/** Headless, as root in a container too, and without a word to anybody outside. */
const chromiumFlags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

async function bundled(page: string, url: string): Promise<string> {
  const [imports, body] = page.split('---')
  const code = `${imports}
    const report = (said) => fetch('/said', { method: 'POST', body: JSON.stringify(said) })
    const run = async (url) => { ${body} }
    run(${JSON.stringify(url)}).then(report, (error) => report({ failed: String(error) }))`
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: projectRoot },
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    conditions: ['browser'],
    logLevel: 'silent',
    alias: { 'warrenmq/client': new URL('../../src/client/browser.js', import.meta.url).pathname },
  })
  return outputFiles[0]?.text ?? ''
}

const libraryPage = `
  import { AMQPWebSocketClient } from '@cloudamqp/amqp-client'
  ---
  const connection = await new AMQPWebSocketClient({ url, logger: null }).connect()
  const channel = await connection.channel()
  await channel.confirmSelect()
  const { name: queue } = await channel.queueDeclare('', { exclusive: true })
  const numbers = []
  const consumed = new Promise((resolve) => channel.basicConsume(queue, { noAck: false }, (message) => {
    numbers.push(Number(message.bodyString()))
    message.ack()
    if (numbers.length === 1000) resolve()
  }))
  const confirms = await Promise.all(
    Array.from({ length: 1000 }, (_, n) => channel.basicPublish('', queue, String(n), { deliveryMode: 2 })))
  await consumed
  await connection.close()
  return { confirmed: confirms.length, consumed: numbers.length, isInOrder: numbers.every((number, n) => number === n) }`

const clientPage = `
  import { connect } from 'warrenmq/client'
  ---
  const client = await connect(url)
  const queue = client.queue('from-the-browser', { autoDelete: true })
  const numbers = []
  let resolve
  const consumed = new Promise((done) => { resolve = done })
  const consumer = await queue.consume(async ({ body }) => {
    numbers.push(body.n)
    if (numbers.length === 1000) resolve()
  }, { concurrency: 1 })
  const confirms = await Promise.all(Array.from({ length: 1000 }, (_, n) => queue.send({ n })))
  await consumed
  await consumer.stop()
  await client.close()
  return { confirmed: confirms.length, consumed: numbers.length, isInOrder: numbers.every((number, n) => number === n) }`

const plainPage = `
  ---
  const socket = new WebSocket(url, 'amqp')
  return await new Promise((resolve) => {
    socket.onopen = () => resolve({ opened: true })
    socket.onerror = () => resolve({ opened: false })
  })`

const httpPage = `
  ---
  const api = async (method, path, body) => {
    const headers = { authorization: 'Basic ' + btoa('guest:guest'), 'content-type': 'application/json' }
    const response = await fetch(url + '/api/queues/%2F/by-http' + path, { method, headers, body: body && JSON.stringify(body) })
    if (!response.ok) throw new Error(method + ' ' + path + ': ' + response.status)
    return response
  }
  await api('PUT', '', { durable: true })
  const settle = (token) => api('POST', '/leases/settle', { tokens: [token], outcome: 'ack' })
  const publish = { properties: {}, routing_key: 'by-http', payload_encoding: 'string' }
  for (let n = 0; n < 10; n++) {
    await fetch(url + '/api/exchanges/%2F/amq.default/publish', {
      method: 'POST', headers: { authorization: 'Basic ' + btoa('guest:guest') }, body: JSON.stringify({ ...publish, payload: String(n) }),
    })
  }
  const consumed = []
  const [leased] = await (await api('POST', '/leases', { count: 1, wait_ms: 10000 })).json()
  consumed.push(leased.payload)
  await settle(leased.token)
  const reader = (await api('GET', '/consume?prefetch=2')).body.pipeThrough(new TextDecoderStream()).getReader()
  for (let text = ''; consumed.length < 10; ) {
    text += (await reader.read()).value
    const events = text.split('\\n\\n')
    text = events.pop()
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event)
      if (data === null) continue
      const { payload, token } = JSON.parse(data[1])
      consumed.push(payload)
      await settle(token)
    }
  }
  await reader.cancel()
  const left = (await (await api('GET', '')).json()).messages
  return { consumed, left }`
