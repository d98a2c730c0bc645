/**
 * Sessions of a client with some of their bytes damaged, cut anywhere, broken off at any time, while results, confirms and
 * the publish gate come and go. Whatever is sent: no mistake of ours comes to light, everybody else is served, and when
 * the connection has gone nothing of it is left.
 *
 *     WARREN_FUZZ_SEED=7 WARREN_FUZZ_SESSIONS=100000 node --test …/test/fuzz/connections.test.js
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteWriter } from '../../src/amqp/byte-writer.ts'
import { encodeMethodFrame, heartbeatFrame, protocolHeader } from '../../src/amqp/frame-encoder.ts'
import { type Method, Methods } from '../../src/amqp/methods.generated.ts'
import type { Block } from '../../src/base/arena.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { mutate } from '../support/byte-mutation.ts'
import {
  basicAck,
  basicCancel,
  basicConsume,
  basicGet,
  basicNack,
  basicQos,
  channelClose,
  channelCloseOk,
  channelOpen,
  confirmSelect,
  connectionClose,
  type MemoryClient,
  publishBytes,
  queueDeclare,
  startOk,
  turns,
  txCommit,
  txRollback,
  txSelect,
} from '../support/memory-client.ts'
import { fakeHarness, type ServerHarness } from '../support/server-harness.ts'

const seed = Number(process.env['WARREN_FUZZ_SEED'] ?? 1)
const sessions = Number(process.env['WARREN_FUZZ_SESSIONS'] ?? 600)

function frame(channel: number, method: Method): Uint8Array {
  const writer = new ByteWriter()
  encodeMethodFrame(writer, channel, method)
  return writer.copy()
}

const login: readonly Uint8Array[] = [
  protocolHeader,
  frame(0, startOk({ capabilities: { consumer_cancel_notify: true, 'connection.blocked': true } })),
  frame(0, { id: Methods.ConnectionTuneOk, name: 'connection.tune-ok', channelMax: 10, frameMax: 8192, heartbeat: 0 }),
  frame(0, { id: Methods.ConnectionOpen, name: 'connection.open', virtualHost: '/' }),
  frame(1, channelOpen),
  frame(2, channelOpen),
  frame(1, queueDeclare('q')),
]

/** What a session may go on with; a channel is put in. */
const steps: readonly ((channel: number, random: SeededRandom) => Uint8Array)[] = [
  (channel) => publishBytes(channel, { routingKey: 'q' }, 'small'),
  (channel, random) =>
    publishBytes(channel, { routingKey: 'q', frameBytesMax: 1000 }, Buffer.alloc(random.below(6000))),
  (channel, random) =>
    publishBytes(channel, { routingKey: 'q', frameBytesMax: 8192 }, Buffer.alloc(random.below(200_000))),
  (channel) =>
    publishBytes(channel, { routingKey: 'nowhere', mandatory: true, properties: { userId: 'guest' } }, 'back'),
  (channel) =>
    publishBytes(channel, { routingKey: 'nowhere', mandatory: true, frameBytesMax: 8192 }, Buffer.alloc(70_000)),
  (channel, random) => frame(channel, basicConsume('q', `c${random.below(3)}`, { noAck: random.below(3) === 0 })),
  (channel, random) => frame(channel, basicCancel(`c${random.below(3)}`)),
  (channel, random) => frame(channel, basicAck(random.below(12), random.below(2) === 0)),
  (channel, random) => frame(channel, basicNack(1 + random.below(8), random.below(2) === 0, random.below(2) === 0)),
  (channel) => frame(channel, basicGet('q')),
  (channel, random) => frame(channel, basicQos(random.below(4), random.below(3) === 0)),
  (channel, random) => frame(channel, queueDeclare('q', { durable: true, passive: random.below(2) === 0 })),
  (channel) => frame(channel, { id: Methods.BasicRecover, name: 'basic.recover', requeue: true }),
  (channel, random) => frame(channel, [confirmSelect, txSelect, txCommit, txRollback][random.below(4)] ?? txSelect),
  (channel, random) => frame(channel, [channelOpen, channelClose, channelCloseOk][random.below(3)] ?? channelOpen),
  () => heartbeatFrame,
  () => frame(0, connectionClose),
]

/** Blocks that were taken and not given back. */
function watchArena({ network: { arena } }: ServerHarness): Set<Block> {
  const taken = new Set<Block>()
  const { take, give } = { take: arena.take.bind(arena), give: arena.give.bind(arena) }
  arena.take = (byteLength) => {
    const block = take(byteLength)
    assert.ok(!taken.has(block), 'a block has one owner')
    taken.add(block)
    return block
  }
  arena.give = (block) => {
    assert.ok(taken.delete(block), 'a block is given back once, by its owner')
    give(block)
  }
  return taken
}

function sessionBytes(random: SeededRandom): Uint8Array {
  const isEarly = random.below(6) === 0
  const parts = login.slice(0, isEarly ? 1 + random.below(login.length) : login.length)
  for (let count = isEarly ? 0 : random.below(40); count > 0; count--) {
    const step = steps[random.below(steps.length - (random.below(10) === 0 ? 0 : 1))]
    if (step !== undefined) parts.push(step(1 + random.below(2), random))
  }
  const isDamaged = random.below(3) > 0
  if (!isDamaged) return Buffer.concat(parts)
  const at = random.below(parts.length)
  const damaged = parts.map((part, index) => (index === at ? mutate(part, parts, random) : part))
  return Buffer.concat(damaged)
}

/** Something that happens around the session. */
async function meddle(harness: ServerHarness, client: MemoryClient, random: SeededRandom): Promise<void> {
  const { broker } = harness
  const { vhost } = broker
  switch (random.below(14)) {
    case 0:
      broker.holdsResults = true
      break
    case 1:
      broker.releaseResults()
      break
    case 2:
      broker.setGate(random.below(2) === 0 ? 'blocked' : 'congested', ['memory'])
      break
    case 3:
      broker.setGate('open')
      break
    case 4:
      vhost.holdsConfirms = !vhost.holdsConfirms
      break
    case 5:
      settleConfirms(harness, random)
      break
    case 6:
      broker.holdsTopology = true
      break
    case 7:
      broker.holdsTopology = false
      broker.commitTopology()
      break
    case 8:
      vhost.holdsReads = true
      break
    case 9:
      releaseReads(harness)
      break
    case 10:
      client.socket.pause()
      break
    case 11:
      client.socket.resume()
      break
    case 12:
      harness.clock.advance(1000)
      break
    default:
      await turns(random.below(8))
  }
}

function settleConfirms({ broker: { vhost } }: ServerHarness, random: SeededRandom): void {
  for (const { sink, sequence } of vhost.confirms.splice(0).reverse()) {
    if (random.below(5) === 0) sink.refuse(sequence)
    else sink.confirm(sequence)
  }
}

function releaseReads({ broker: { vhost } }: ServerHarness): void {
  vhost.holdsReads = false
  while (vhost.reads.length > 0) for (const read of vhost.reads.splice(0)) read()
}

async function play(harness: ServerHarness, random: SeededRandom): Promise<void> {
  const client = harness.connect()
  const bytes = sessionBytes(random)
  let at = 0
  while (at < bytes.length && !client.isClosed) {
    const end = Math.min(bytes.length, at + 1 + random.below(random.below(3) === 0 ? 20 : 40_000))
    client.bytes(bytes.subarray(at, end))
    at = end
    if (random.below(3) === 0) await meddle(harness, client, random)
  }
  await turns(random.below(30))
  if (random.below(2) === 0) client.socket.destroy()
  await calm(harness, random)
  client.socket.destroy()
  await calm(harness, random)
}

/** Everything that waits may happen now. */
async function calm(harness: ServerHarness, random: SeededRandom): Promise<void> {
  const { broker } = harness
  broker.vhost.holdsConfirms = false
  broker.holdsTopology = false
  broker.setGate('open')
  for (let round = 0; round < 4; round++) {
    broker.releaseResults()
    broker.commitTopology()
    settleConfirms(harness, random)
    releaseReads(harness)
    harness.clock.advance(12_000)
    await turns(12)
  }
}

describe('connections under damaged input', () => {
  it('never show a mistake of ours, disturb nobody and leave nothing behind', async () => {
    const random = new SeededRandom(seed)
    const harness = fakeHarness({ deliveryBytesMax: 30_000, outputBytesMax: 60_000, parkedBytesMax: 20_000 })
    const taken = watchArena(harness)
    const canary = await harness.channel()
    const { vhost } = harness.broker
    for (let session = 0; session < sessions; session++) {
      await play(harness, random)
      const where = `session ${session} of seed ${seed}`
      const mistakes = harness.log.filter((line) => line.startsWith('error '))
      assert.deepEqual(mistakes, [], where)
      assert.equal(harness.server.connections.size, 1, where)
      assert.deepEqual([...taken], [], `${where}: no block is held`)
      for (const body of vhost.bodies.splice(0)) {
        assert.notEqual(body.isAbandoned, body.isPublished, `${where}: a body is named or abandoned`)
        assert.equal(body.releases, body.grants, `${where}: who was given a body lets it go once`)
      }
      for (const queue of vhost.queues.values()) {
        assert.equal(queue.consumers.size, 0, where)
        assert.ok(
          queue.entries.every(({ holder }) => holder === null),
          `${where}: nothing is held`,
        )
      }
      vhost.queues.clear()
      vhost.routingVersion++
      harness.log.length = 0
      canary.methods(1, basicQos(1))
      await canary.next('basic.qos-ok')
    }
  })
})
