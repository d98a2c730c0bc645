/** Definitions as a start finds them in a file, and the limits they set, seen from outside. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { runWarren, startWarren } from '../support/warren-command.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-definitions-'))
after(() => rmSync(scratch, { recursive: true, force: true }))
let count = 0

/** RabbitMQ's own example of a salted hash: of `test12`. */
const user = {
  name: 'shop',
  password_hash: 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR',
  hashing_algorithm: 'rabbit_password_hashing_sha256',
  tags: '',
  limits: { 'max-connections': 2, 'max-channels': 3 },
}

const definitions = {
  rabbit_version: '3.10.8',
  users: [user],
  vhosts: [{ name: 'shop' }],
  permissions: [{ user: 'shop', vhost: 'shop', configure: '.*', write: '.*', read: '.*' }],
  parameters: [{ vhost: 'shop', component: 'vhost-limits', name: 'limits', value: { 'max-queues': 1 } }],
  queues: [{ name: 'orders', vhost: 'shop', durable: true, auto_delete: false, arguments: {} }],
}

function written(document: unknown): string {
  const path = join(scratch, `definitions-${++count}.json`)
  writeFileSync(path, JSON.stringify(document))
  return path
}

async function serving(path: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const args = ['serve', '--port', '0', '--host', '127.0.0.1', '--data', join(scratch, `data-${++count}`)]
  const command = startWarren(args, { WARREN_DEFINITIONS: path })
  const [, port] = await command.printed(/listens on amqp:\/\/127\.0\.0\.1:(\d+)/)
  const stop = async (): Promise<void> => {
    command.child.kill('SIGTERM')
    await command.result
  }
  return { url: `amqp://shop:test12@127.0.0.1:${port}/shop`, stop }
}

describe('definitions in a file', () => {
  it('are there when the broker listens, with users of RabbitMQ who log in and within their limits', {
    timeout: 30_000,
  }, async () => {
    const { url, stop } = await serving(written(definitions))
    const first = await amqplib.connect(url)
    const second = await amqplib.connect(url)
    // amqplib does not tell the text of a refused open; `unit/topology/limits.test.ts` looks at it.
    await assert.rejects(amqplib.connect(url), /Expected ConnectionOpenOk; got <ConnectionClose channel:0>/)
    const channel = await first.createChannel()
    await channel.checkQueue('orders')
    channel.on('error', () => {})
    const full = /PRECONDITION_FAILED - cannot declare queue 'more': queue limit in vhost 'shop' \(1\) is reached/
    await assert.rejects(channel.assertQueue('more'), full)
    await first.createChannel()
    await second.createChannel()
    await second.createChannel()
    // amqplib never settles what waits on a connection that is closed: its error event tells.
    const refused = once(second, 'error')
    second.createChannel().catch(() => {})
    const [error] = (await refused) as [Error]
    const tooMany =
      /NOT_ALLOWED - number of channels opened for user 'shop' has reached the maximum allowed user limit of \(3\)/
    assert.match(error.message, tooMany)
    await first.close()
    await stop()
  })

  const refusals: [why: string, document: unknown, sentence: string][] = [
    [
      'an entry that cannot be made',
      { queues: [{ name: 'q', vhost: '/', arguments: { 'x-expires': 0 } }] },
      "queues[0] ('q'): invalid arg 'x-expires' for queue 'q' in vhost '/': {value_zero,0}",
    ],
    ['something that is none', { users: 5 }, 'users is no list'],
  ]
  for (const [why, document, sentence] of refusals) {
    it(`end the start for ${why}, with file and entry in a sentence`, async () => {
      const path = written(document)
      const args = ['serve', '--port', '0', '--data', join(scratch, `data-${++count}`)]
      const { code, stderr } = await runWarren(args, { WARREN_DEFINITIONS: path })
      assert.equal(code, 2)
      const expected = `warren: the definitions in ${path} cannot be imported: ${sentence}; mend the file or give another`
      assert.equal(stderr.trim().split('\n').at(-1), expected)
    })
  }

  it('end the start when they cannot be read', async () => {
    const path = join(scratch, 'none.json')
    const args = ['serve', '--port', '0', '--data', join(scratch, `data-${++count}`)]
    const { code, stderr } = await runWarren(args, { WARREN_DEFINITIONS: path })
    assert.equal(code, 2)
    assert.ok(stderr.includes(`the definitions ${path} cannot be read (ENOENT): give definitions the path of a file`))
  })
})
