/** `warren webhooks`, against a broker process and a receiver. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { TestAuthority } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { HttpReceiver, type Received } from '../support/http-receiver.ts'
import { freePort } from '../support/ports.ts'
import { type CommandOptions, type CommandResult, runWarren } from '../support/warren-command.ts'

const folder = mkdtempSync(join(tmpdir(), 'warren-cli-webhooks-'))
const ownSecret = `whsec_${Buffer.alloc(24, 5).toString('base64')}`
let broker: BrokerProcess
let receiver: HttpReceiver
let http: string

before(async () => {
  const port = await freePort()
  broker = await BrokerProcess.start({ env: { WARREN_HTTP_PORT: String(port), WARREN_WEBHOOK_ALLOW: '127.0.0.1' } })
  http = `http://127.0.0.1:${port}`
  receiver = await HttpReceiver.listen()
})
after(async () => {
  receiver.close()
  await broker.stop()
  rmSync(folder, { recursive: true, force: true })
})

function warren(args: readonly string[], env = {}, options: CommandOptions = {}): Promise<CommandResult> {
  return runWarren([...args], { WARREN_URL: broker.url, WARREN_HTTP: http, ...env }, options)
}

async function done(args: readonly string[], env = {}, options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await warren(args, env, options)
  assert.equal(code, 0, stderr)
  return stdout
}

async function listed(): Promise<Record<string, unknown>[]> {
  return JSON.parse(await done(['webhooks', 'list', '--json'])) as Record<string, unknown>[]
}

describe('warren webhooks', () => {
  it('makes one with a secret of its own, which signs', async () => {
    await done(['declare', 'queue', 'orders'])
    const to = ['--to', `http://127.0.0.1:${receiver.port}/hook`]
    const printed = await done(['webhooks', 'set', 'shop', '--queue', 'orders', ...to, '--header', 'x-key=a=b'])
    const [, secret = ''] =
      /^webhook 'shop' is made\nits secret, which is not shown again: (whsec_\S+)\n$/.exec(printed) ?? []
    await done(['publish', '--queue', 'orders', 'hello'])
    await eventually('it is pushed', () => receiver.received.length === 1)
    const [{ headers, body }] = receiver.received as [Received]
    assert.deepEqual([body, headers['x-key']], ['hello', 'a=b'])
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.hello`
    const signature = createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
      .update(signed)
      .digest('base64')
    assert.equal(headers['webhook-signature'], `v1,${signature}`)
    await eventually('it counts', async () => (await listed())[0]?.['delivered'] === 1)
    const table = await done(['webhooks', 'list'])
    assert.match(table, /^vhost {2}name {2}queue {3}state +node +unacked {2}delivered {2}failed {2}last_error\n/)
    assert.match(table, /^\/ +shop {2}orders {2}running {2}warren@\S+ +0 +1 +0$/m)
  })

  it('changes what is given and leaves the rest', async () => {
    assert.equal(
      await done(['webhooks', 'set', 'shop', '--concurrency', '9', '--content-mode', 'json']),
      "webhook 'shop' is changed\n",
    )
    await done(['webhooks', 'set', 'shop', '--disable', '--answer-timeout', '2000'])
    const [shown] = await listed()
    const { queue, concurrency, timeout_ms: ms, content_mode: mode, enabled, state, headers } = shown ?? {}
    assert.deepEqual(
      [queue, concurrency, ms, mode, enabled, state, headers],
      ['orders', 9, 2_000, 'json', false, 'disabled', { 'x-key': null }],
    )
    await done(['webhooks', 'set', 'shop', '--enable', '--content-mode', 'binary'])
  })

  it('takes secrets from the environment, a file, or stdin, and never from an argument', async () => {
    const file = join(folder, 'secret')
    writeFileSync(file, `${ownSecret}\n`)
    const signatures = async (): Promise<number> => {
      await done(['webhooks', 'test', 'shop'])
      return String(receiver.received.at(-1)?.headers['webhook-signature']).split(' ').length
    }
    await done(['webhooks', 'set', 'shop'], { WARREN_WEBHOOK_SECRET: ownSecret })
    assert.equal(await signatures(), 1)
    await done(
      ['webhooks', 'set', 'shop', '--secret-file', '-', '--previous-secret-file', file],
      {},
      { input: ownSecret },
    )
    assert.equal(await signatures(), 2)
    const wrong = await warren(['webhooks', 'set', 'shop', '--secret-file', join(folder, 'none')])
    assert.deepEqual([wrong.code, /--secret-file .* cannot be read \(ENOENT\)/.test(wrong.stderr)], [2, true])
    const short = await warren(['webhooks', 'set', 'shop'], { WARREN_WEBHOOK_SECRET: 'short' })
    assert.deepEqual([short.code, /secret has to be whsec_/.test(short.stderr)], [9, true])
  })

  it('tries one out, and says by its exit code whether a message would have gone', async () => {
    assert.match(await done(['webhooks', 'test', 'shop']), /^the receiver of webhook 'shop' has answered 200 in \d+ ms/)
    receiver.answer = (response) => void response.writeHead(500).end()
    const { code, stdout, stderr } = await warren(['webhooks', 'test', 'shop'])
    assert.deepEqual([code, stdout], [10, ''])
    assert.match(
      stderr,
      /^warren: the receiver of webhook 'shop' would not have got a message \(the answer was 500, in/,
    )
  })

  it('waits for an answer as long as the webhook does', async () => {
    receiver.answer = (response) => void setTimeout(() => response.end(), 1_500)
    assert.match(await done(['webhooks', 'test', 'shop', '--timeout', '1']), /has answered 200/)
    receiver.answer = (response) => void response.end()
  })

  it('gives one the certificates of a file, keeps them, and takes them back', async () => {
    const authority = await TestAuthority.make()
    const to = ['--queue', 'orders', '--to', 'https://shop.example/', '--disable']
    await done(['webhooks', 'set', 'tls', ...to, '--ca-file', authority.certPath])
    const given = async (): Promise<unknown> =>
      (await listed()).find(({ name }) => name === 'tls')?.['ca_certificates'] ?? null
    assert.equal(await given(), authority.cert)
    await done(['webhooks', 'set', 'tls', '--concurrency', '2'])
    assert.equal(await given(), authority.cert)
    await done(['webhooks', 'set', 'tls', '--default-ca'])
    assert.equal(await given(), null)
    await done(['webhooks', 'delete', 'tls'])
    authority.remove()
  })

  it('refuses what does not fit with a sentence', async () => {
    const missing = await warren(['webhooks', 'set', 'other', '--queue', 'orders'])
    assert.deepEqual([missing.code, /give --queue and --to to make it/.test(missing.stderr)], [2, true])
    for (const args of [
      ['test', 'other'],
      ['delete', 'other'],
    ]) {
      const { code, stderr } = await warren(['webhooks', ...args])
      assert.deepEqual([code, /no webhook 'other' in vhost '\/'; `warren webhooks list`/.test(stderr)], [8, true])
    }
    const both = await warren(['webhooks', 'set', 'shop', '--enable', '--disable'])
    assert.equal(both.code, 2)
    const closed = await warren(['webhooks', 'set', 'inside', '--queue', 'orders', '--to', 'http://10.0.0.1/'])
    assert.deepEqual([closed.code, /not on the internet and not in webhook-allow/.test(closed.stderr)], [9, true])
    const header = await warren(['webhooks', 'set', 'shop', '--header', 'nonsense'])
    assert.deepEqual([header.code, /--header needs NAME=VALUE/.test(header.stderr)], [2, true])
  })

  it('deletes one', async () => {
    assert.equal(await done(['webhooks', 'delete', 'shop']), "deleted webhook 'shop'\n")
    assert.deepEqual(await listed(), [])
  })
})
