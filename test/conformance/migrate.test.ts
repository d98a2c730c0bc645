/**
 * `warren migrate`: all that a stopped node has stored comes to the other side, in order, with its properties, each
 * message once; and after a kill in the middle everything is there as well. The other side is a node of its own: what a
 * cluster does with what it confirmed is tested elsewhere.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import amqplib, { type Channel, type ChannelModel, type GetMessage } from 'amqplib'
import { onTheirWayMax } from '../../src/cli/migrate/queue-move.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { freePort } from '../support/ports.ts'
import { type CommandResult, runWarren, startWarren } from '../support/warren-command.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-migrate-'))
const messages = 5_000

let target: BrokerProcess
let http = ''
let connection: ChannelModel
let channel: Channel

before(async () => {
  const port = await freePort()
  http = `http://127.0.0.1:${port}`
  target = await BrokerProcess.prepare({ args: ['--http-port', String(port)] })
  target.spawn()
  await target.untilListening()
  connection = await amqplib.connect(target.url)
  channel = await connection.createChannel()
})

after(async () => {
  await connection.close()
  await target.stop()
  rmSync(scratch, { recursive: true, force: true })
})

describe('warren migrate', () => {
  it('moves queues, streams, delays and dead letters with what they carry', async () => {
    const directory = join(scratch, 'all')
    await filled(directory, fillAll)
    const { code, stdout, stderr } = await migrate(directory)
    assert.equal(code, 0, stdout + stderr)
    for (const line of stdout.trim().split('\n').slice(1)) assert.match(line, / equal$/)
    await checkPlain()
    await checkOthers()

    const again = await migrate(directory)
    assert.equal(again.code, 0, again.stdout + again.stderr)
    assert.match(again.stderr, /moved 0 messages of \d+ queues/)
    assert.equal((await channel.checkQueue('log')).messageCount, 20)
  })

  it('loses nothing when it is killed again and again, and doubles no more than was on its way each time', async () => {
    const directory = join(scratch, 'killed')
    await filled(directory, async (source) => {
      await source.assertQueue('many', { durable: true })
      for (let index = 0; index < messages; index++) {
        source.sendToQueue('many', Buffer.alloc(1_000), { persistent: true, messageId: String(index) })
      }
    })
    const kills = 3
    for (let kill = 1; kill <= kills; kill++) {
      const moved = await countOf('many')
      const { child, result } = startWarren(args(directory))
      while ((await countOf('many')) < moved + 150) await pause(2)
      child.kill('SIGKILL')
      await result
    }
    assert.ok((await countOf('many')) < messages, 'it was killed in the middle')
    const again = await migrate(directory)
    assert.equal(again.code, 0, again.stdout + again.stderr)
    const ids = (await taken('many')).map(({ properties }) => Number(properties.messageId))
    assert.deepEqual(
      [...new Set(ids)].sort((a, b) => a - b),
      Array.from({ length: messages }, (_, index) => index),
    )
    assert.ok(ids.length - messages <= kills * onTheirWayMax, `${ids.length - messages} twice`)
  })

  it('refuses what it cannot move, with a sentence', async () => {
    const none = await migrate(scratch)
    assert.equal(none.code, 2)
    assert.match(none.stderr, /is no data directory; give the one of --data/)
    const directory = join(scratch, 'used')
    const source = await BrokerProcess.prepare({ dataDirectory: directory })
    source.spawn()
    await source.untilListening()
    const used = await migrate(directory)
    await source.stop()
    assert.equal(used.code, 3)
    assert.match(used.stderr, /is in use by process \d+; stop/)
    const nobody = await runWarren(['migrate', directory, '--to', 'amqp://127.0.0.1:1', '--http', 'http://127.0.0.1:1'])
    assert.equal(nobody.code, 6)
    const stranger = await runWarren([
      'migrate',
      directory,
      '--to',
      target.url.replace('//', '//guest:wrong@'),
      '--http',
      http,
    ])
    assert.equal(stranger.code, 7)
  })
})

// ---------------------------------------------------------------- source

async function filled(directory: string, fill: (channel: Channel) => Promise<void>): Promise<void> {
  const source = await BrokerProcess.prepare({ dataDirectory: directory })
  source.spawn()
  await source.untilListening()
  const from = await amqplib.connect(source.url)
  const confirming = await from.createConfirmChannel()
  await fill(confirming)
  await confirming.waitForConfirms()
  await from.close()
  await source.stop()
}

async function fillAll(source: Channel): Promise<void> {
  const declare = (name: string, queueArguments: Record<string, unknown> = {}) =>
    source.assertQueue(name, { durable: true, arguments: queueArguments })
  const send = (queue: string, body: string, options: amqplib.Options.Publish = {}) =>
    source.sendToQueue(queue, Buffer.from(body), { persistent: true, ...options })
  await declare('plain')
  await declare('urgent', { 'x-max-priority': 5 })
  await declare('dead')
  await declare('dying', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' })
  await declare('later')
  await declare('log', { 'x-queue-type': 'stream' })
  await declare('steps', { 'x-queue-type': 'quorum' })
  await source.assertExchange('orders', 'topic', { durable: true })
  await source.bindQueue('plain', 'orders', 'order.#')
  for (let index = 0; index < messages; index++) {
    send('plain', `m${index}`, {
      messageId: `id-${index}`,
      correlationId: 'c',
      timestamp: 1_700_000_000,
      headers: { index, big: 2 ** 40, share: 0.5, yes: true, inner: { list: [1, 'a'] } },
    })
  }
  for (let index = 0; index < 10; index++) send('urgent', `u${index}`, { priority: index % 5 })
  send('later', 'soon', { headers: { 'x-delay': 1_500 } })
  send('later', 'in an hour', { headers: { 'x-delay': 3_600_000 } })
  send('later', 'now')
  for (let index = 0; index < 20; index++) send('log', `s${index}`)
  for (let index = 0; index < 50; index++) send('steps', `g${index}`, { headers: { 'x-group': `g${index % 3}` } })
  send('dying', 'died')
  for (;;) {
    const message = await source.get('dying')
    if (message !== false) {
      source.nack(message, false, false)
      return
    }
  }
}

// ---------------------------------------------------------------- target

function args(directory: string): string[] {
  return ['migrate', directory, '--to', target.url, '--http', http]
}

function migrate(directory: string): Promise<CommandResult> {
  return runWarren(args(directory))
}

async function countOf(queue: string): Promise<number> {
  const probe = await connection.createChannel()
  probe.on('error', () => undefined)
  try {
    const { messageCount } = await probe.checkQueue(queue)
    await probe.close()
    return messageCount
  } catch {
    return 0
  }
}

async function taken(queue: string): Promise<GetMessage[]> {
  const found: GetMessage[] = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return found
    found.push(message)
  }
}

async function checkPlain(): Promise<void> {
  const found = await taken('plain')
  assert.deepEqual(
    found.map(({ content }) => content.toString()),
    Array.from({ length: messages }, (_, index) => `m${index}`),
  )
  const { properties } = found[7] as GetMessage
  assert.deepEqual(properties.headers, { index: 7, big: 2 ** 40, share: 0.5, yes: true, inner: { list: [1, 'a'] } })
  const { messageId, correlationId, timestamp, deliveryMode } = properties
  assert.deepEqual([messageId, correlationId, timestamp, deliveryMode], ['id-7', 'c', 1_700_000_000, 2])
}

async function checkOthers(): Promise<void> {
  const urgent = (await taken('urgent')).map(({ properties }) => properties.priority)
  assert.deepEqual(
    urgent,
    [...urgent].sort((a, b) => b - a),
  )
  const [dead] = await taken('dead')
  assert.equal(dead?.properties.headers?.['x-death']?.[0]?.reason, 'rejected')
  const steps = (await taken('steps')).map(({ content }) => content.toString())
  assert.equal(steps.length, 50)
  for (let group = 0; group < 3; group++) {
    const own = steps.filter((body) => Number(body.slice(1)) % 3 === group).map((body) => Number(body.slice(1)))
    assert.deepEqual(
      own,
      [...own].sort((a, b) => a - b),
    )
  }
  const later: string[] = []
  while (later.length < 2) later.push(...(await taken('later')).map(({ content }) => content.toString()))
  assert.deepEqual(later, ['now', 'soon'])
  const answer = await fetch(`${http}/api/queues/%2F/later/scheduled`, {
    headers: { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` },
  })
  const [hour, ...more] = (await answer.json()) as { deliver_at: number }[]
  assert.equal(more.length, 0)
  assert.ok(Math.abs((hour?.deliver_at ?? 0) - Date.now() - 3_600_000) < 60_000)
  await channel.bindExchange('amq.fanout', 'orders', 'order.new')
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
