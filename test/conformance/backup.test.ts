/**
 * `warren backup` of a broker that works, and `warren restore`: what was confirmed before it began is there, what comes
 * later is there up to one moment and nothing behind it, and what is not whole is refused.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import amqplib, { type ChannelModel, type ConfirmChannel } from 'amqplib'
import { BrokerProcess } from '../support/broker-process.ts'
import { freePort } from '../support/ports.ts'
import { type CommandResult, runWarren, startWarren } from '../support/warren-command.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-backup-'))
const bodyBytes = 16 * 1024
const window = 200

let broker: BrokerProcess
let http = ''
let connection: ChannelModel
let channel: ConfirmChannel

before(async () => {
  const port = await freePort()
  http = `http://guest:guest@127.0.0.1:${port}`
  broker = await BrokerProcess.start({ args: ['--http-port', String(port)] })
  connection = await amqplib.connect(broker.url)
  connection.on('error', () => {})
  channel = await connection.createConfirmChannel()
})

after(async () => {
  await connection.close().catch(() => {})
  await broker.stop()
  rmSync(scratch, { recursive: true, force: true })
})

/** A global parameter, which clients are told when they connect. */
async function nameCluster(name: string): Promise<void> {
  const { origin, username, password } = new URL(http)
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  const wish = { method: 'PUT', headers: { authorization }, body: JSON.stringify({ name }) }
  assert.equal((await fetch(`${origin}/api/cluster-name`, wish)).status, 204)
}

describe('a backup', () => {
  it('taken under load holds all that was confirmed before it began, up to one moment, and nothing half', async () => {
    await channel.assertQueue('kept', { durable: true })
    await channel.assertQueue('passing', { durable: true })
    await channel.assertQueue('events', { durable: true, arguments: { 'x-queue-type': 'stream' } })
    await channel.assertQueue('idle-events', { durable: true, arguments: { 'x-queue-type': 'stream' } })
    for (let index = 0; index < 5; index++) channel.sendToQueue('idle-events', Buffer.from(String(index)))
    await channel.waitForConfirms()
    const load = new Load()
    await load.start()
    await nameCluster('backed up')
    await load.reached(1_000)
    const confirmed = load.confirmed
    const file = join(scratch, 'load.tar')
    const taken = await backup(file)
    assert.equal(taken.code, 0, taken.stderr)
    assert.match(taken.stderr, /all sums fit/)
    const sentThen = load.sent
    // Segments that were held are used again: the node goes on.
    await load.reached(load.confirmed + 2_000)
    await load.stop()

    const directory = join(scratch, 'restored')
    const restored = await runWarren(['restore', file, '--data', directory])
    assert.equal(restored.code, 0, restored.stderr)
    const other = await BrokerProcess.start({ dataDirectory: directory })
    const theirs = await amqplib.connect(other.url)
    try {
      assert.equal(Reflect.get(theirs.connection.serverProperties, 'cluster_name'), 'backed up')
      const kept = await idsIn(theirs, 'kept')
      assertRun(kept, 0)
      assert(kept.length >= confirmed, `${kept.length} of ${confirmed} that were confirmed`)
      assert(kept.length <= sentThen, 'nothing that came later')
      const events = await idsIn(theirs, 'events', { 'x-stream-offset': 'first' })
      assertRun(events, 0)
      assert(events.length >= confirmed)
      // One record of the log holds a message for both queues, and streams are held at the same moment.
      const passing = await idsIn(theirs, 'passing')
      assertRun(passing, passing[0] ?? 0)
      if (passing.length > 0) assert.equal(passing.at(-1), kept.at(-1))
      assert(Math.abs(events.length - kept.length) <= 2 * window, 'streams are of the same moment')
      assert.equal((await idsIn(theirs, 'idle-events', { 'x-stream-offset': 'first' })).length, 5)
    } finally {
      await theirs.close()
      await other.stop()
    }
  })

  it('that is cut off, altered or no backup is refused, and no broker begins in what is left', async () => {
    const file = join(scratch, 'whole.tar')
    assert.equal((await backup(file)).code, 0)
    const whole = readFileSync(file)
    const cuts = [whole.length - 512, Math.floor(whole.length / 2), 700].map((at) => whole.subarray(0, at))
    const flips = [100, 3_000, Math.floor(whole.length / 3), whole.length - 4_000].map((at) => {
      const altered = Buffer.from(whole)
      altered[at] = (altered[at] ?? 0) ^ 1
      return altered
    })
    for (const [index, bytes] of [...cuts, ...flips, Buffer.alloc(4_096)].entries()) {
      const bad = join(scratch, 'bad.tar')
      writeFileSync(bad, bytes)
      const directory = join(scratch, `bad-${index}`)
      const { code, stderr } = await runWarren(['restore', bad, '--data', directory])
      assert.equal(code, 1, `${index}: ${stderr}`)
      assert.match(stderr, /cannot be restored: .*remove it/)
      if (index > 0) continue
      const { code: started } = await runWarren(['serve', '--data', directory, '--port', '0'])
      assert.equal(started, 3, `${index}: a broker must not begin there`)
      rmSync(directory, { recursive: true })
    }
  })

  it('is never unpacked over something, nor written over something', async () => {
    const file = join(scratch, 'mine.txt')
    writeFileSync(file, 'mine')
    assert.equal((await backup(file)).code, 2)
    assert.equal(readFileSync(file, 'utf8'), 'mine')
    const directory = join(scratch, 'full')
    mkdirSync(directory)
    writeFileSync(join(directory, 'mine.txt'), 'mine')
    const { code, stderr } = await runWarren(['restore', join(scratch, 'whole.tar'), '--data', directory])
    assert.equal(code, 2)
    assert.match(stderr, /is not empty \(there is mine.txt\)/)
    assert.deepEqual(readdirSync(directory), ['mine.txt'])
  })

  it('is one at a time, and for administrators', async () => {
    const slow = await fetch(new URL('/api/warren/backup', plainUrl()), { headers: login('guest') })
    assert.equal(slow.status, 200)
    const reader = slow.body?.getReader()
    await reader?.read()
    const second = await backup(join(scratch, 'second.tar'))
    assert.equal(second.code, 9, second.stderr)
    assert.match(second.stderr, /a backup is under way/)
    await reader?.cancel()
    await untilFree()
    assert.equal(existsSync(join(scratch, 'second.tar')), false)
    await fetch(new URL('/api/users/watcher', plainUrl()), {
      method: 'PUT',
      headers: login('guest'),
      body: JSON.stringify({ password: 'watcher-password', tags: 'monitoring' }),
    })
    const refused = await fetch(new URL('/api/warren/backup', plainUrl()), {
      headers: login('watcher', 'watcher-password'),
    })
    assert.equal(refused.status, 401)
  })

  it('holds a stream that was not open and is deleted while it is taken', async () => {
    await broker.kill()
    await broker.restart()
    connection = await amqplib.connect(broker.url)
    connection.on('error', () => {})
    channel = await connection.createConfirmChannel()
    // The streams come last, and what comes before is more than sockets take without being read.
    const response = await fetch(new URL('/api/warren/backup', plainUrl()), { headers: login('guest') })
    await channel.deleteQueue('idle-events')
    await new Promise((resolve) => setTimeout(resolve, 200))
    const file = join(scratch, 'deleted.tar')
    writeFileSync(file, Buffer.from(await response.arrayBuffer()))
    const directory = join(scratch, 'deleted')
    const restored = await runWarren(['restore', file, '--data', directory])
    assert.equal(restored.code, 0, restored.stderr)
    const other = await BrokerProcess.start({ dataDirectory: directory })
    const theirs = await amqplib.connect(other.url)
    assert.equal((await idsIn(theirs, 'idle-events', { 'x-stream-offset': 'first' })).length, 5)
    await theirs.close()
    await other.stop()
    const logs = (): string[] => readdirSync(join(broker.dataDirectory, 'streams'))
    for (let look = 0; look < 100 && logs().length > 1; look++) await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(logs().length, 1, 'its log is removed when it is not held any more')
  })

  it('of a broker that is killed in the middle leaves no file, and the broker comes back with all it had', async () => {
    const count = (await channel.checkQueue('kept')).messageCount
    const command = startWarren(['backup', join(scratch, 'killed.tar'), '--http', http])
    while (
      !existsSync(join(scratch, 'killed.tar.part')) ||
      readFileSync(join(scratch, 'killed.tar.part')).length === 0
    ) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await broker.kill()
    const { code, stderr } = await command.result
    // It may have been faster.
    if (code !== 0) assert.deepEqual([code, readdirSync(scratch).filter((name) => name.startsWith('killed'))], [1, []])
    if (code !== 0) assert.match(stderr, /ended its answer in the middle|no whole backup/)
    await broker.restart()
    connection = await amqplib.connect(broker.url)
    channel = await connection.createConfirmChannel()
    assert.equal((await channel.checkQueue('kept')).messageCount, count)
  })
})

function backup(file: string): Promise<CommandResult> {
  return runWarren(['backup', file, '--http', http])
}

function plainUrl(): string {
  return http.replace('guest:guest@', '')
}

function login(user: string, password = user): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}

/** The broker has noticed that nobody reads any more. */
async function untilFree(): Promise<void> {
  for (let look = 0; look < 100; look++) {
    const next = await fetch(new URL('/api/warren/backup', plainUrl()), { headers: login('guest') })
    await next.body?.cancel()
    if (next.status === 200) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.fail('the backup is still under way')
}

/** Publishes numbered messages to three queues at once, and takes them from one of them again. */
class Load {
  sent = 0
  confirmed = 0
  #isStopping = false
  #done: Promise<void> = Promise.resolve()

  async start(): Promise<void> {
    await channel.assertExchange('all', 'fanout', { durable: true })
    for (const queue of ['kept', 'passing', 'events']) await channel.bindQueue(queue, 'all', '')
    await channel.consume('passing', (message) => message !== null && channel.ack(message))
    this.#done = this.#run()
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      for (let index = 0; index < window; index++) {
        const id = this.sent++
        const body = Buffer.alloc(bodyBytes, id % 251)
        body.writeUInt32BE(id, 0)
        channel.publish('all', '', body, { persistent: true })
      }
      await channel.waitForConfirms()
      this.confirmed = this.sent
    }
  }

  async reached(count: number): Promise<void> {
    while (this.confirmed < count) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#done
  }
}

/** All that is in a queue now, in order. */
async function idsIn(of: ChannelModel, queue: string, args: Record<string, unknown> = {}): Promise<number[]> {
  const reading = await of.createChannel()
  const isStream = args['x-stream-offset'] !== undefined
  if (isStream) await reading.prefetch(1_000)
  const ids: number[] = []
  let last = performance.now()
  await reading.consume(
    queue,
    (message) => {
      if (message === null) return
      last = performance.now()
      const { content } = message
      const isOwn = content.length === bodyBytes
      const id = isOwn ? content.readUInt32BE(0) : Number(content.toString())
      if (isOwn)
        assert(
          content.subarray(4).every((byte) => byte === id % 251),
          `message ${id} is whole`,
        )
      ids.push(id)
      if (isStream) reading.ack(message)
    },
    { arguments: args },
  )
  while (performance.now() - last < 1_000) await new Promise((resolve) => setTimeout(resolve, 50))
  await reading.close()
  return ids
}

/** One after the other, without a gap. */
function assertRun(ids: readonly number[], first: number): void {
  for (const [index, id] of ids.entries()) assert.equal(id, first + index)
}
