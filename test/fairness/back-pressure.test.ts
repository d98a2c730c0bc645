/**
 * Who takes nothing, or gives more than can be stored, is held back; the broker's memory does not grow by it and the
 * others go on. A real process each, whose resident memory is looked at from outside.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { BluntClient } from '../support/amqp/blunt-client.ts'
import { RawClient } from '../support/amqp/raw-client.ts'
import { content, method, type Properties } from '../support/amqp/wire.ts'
import { type BrokerOptions, BrokerProcess } from '../support/broker-process.ts'
import { QuietConnection, shown } from '../support/quiet-connection.ts'

const MiB = 1024 * 1024

/** Body of the messages here, and how many go out in one piece. */
const bodyBytes = 4_000
const batch = 100

/** What buffers, caches and the collector's leisure may add to a broker's memory; the data is several times as much. */
const growthBytesMax = 96 * MiB

/** No message of the quiet connection may take longer beside any of this, in milliseconds; what the machine itself stood still comes on top. */
const stallMsMax = 2_000

void describe('memory stays and others go on', () => {
  proved('while a consumer does not read', {}, async ({ broker, memory, quietly }) => {
    const keeper = await BluntClient.connect(broker)
    await keeper.call(1, 'queue.declare', { queue: 'unread', durable: true })
    await keeper.call(1, 'confirm.select')
    await keeper.sendMany(publishes('unread', { deliveryMode: 2 }), batch, 50_000)
    await untilReady(broker, 'unread', 50_000)
    const consumer = await BluntClient.connect(broker)
    memory.from()
    await quietly(async () => {
      consumer.stopReading()
      await consumer.send(method(1, 'basic.consume', { queue: 'unread', noAck: true }))
      await pause(1_500)
    })
    const { args } = await passively(broker, 'unread')
    assert.ok(Number(args['messageCount']) > 45_000, `${args['messageCount']} of 50000 messages have not been sent`)
    memory.check()
    consumer.readOn()
    await consumer.until('basic.deliver', 50_000)
    memory.check()
  })

  proved('while a consumer with acknowledgements does not read', {}, async ({ broker, memory, quietly }) => {
    const keeper = await BluntClient.connect(broker)
    await keeper.call(1, 'queue.declare', { queue: 'unread', durable: true })
    await keeper.sendMany(publishes('unread'), batch, 50_000)
    await untilReady(broker, 'unread', 50_000)
    const consumer = await BluntClient.connect(broker)
    memory.from()
    await quietly(async () => {
      consumer.stopReading()
      await consumer.send(method(1, 'basic.consume', { queue: 'unread' }))
      await pause(1_500)
    })
    memory.check()
    consumer.destroy()
    await untilReady(broker, 'unread', 50_000)
  })

  proved('while a publisher reads none of its returns and confirms', {}, async ({ broker, memory, quietly }) => {
    const publisher = await BluntClient.connect(broker)
    await publisher.call(1, 'confirm.select')
    memory.from()
    publisher.stopReading()
    const sent = sendUntilStuck(publisher, publishes('nobody', {}, true))
    await quietly(() => sent.stuck)
    assert.ok(sent.messages() < 20_000, `${sent.messages()} messages were taken, ${bodyBytes} bytes each`)
    memory.check()
    const total = await sent.goOn(() => publisher.readOn())
    await publisher.until('basic.return', total)
    assert.ok(publisher.count('basic.ack') > 0)
  })

  const slowDisk: BrokerOptions = { program: 'slow-disk-broker.js' }

  proved('while publishers outrun the disk', slowDisk, async ({ broker, memory, quietly }) => {
    const publishers = await Promise.all([1, 2, 3, 4].map(() => BluntClient.connect(broker)))
    for (const one of publishers) await one.call(1, 'queue.declare', { queue: 'flood', durable: true })
    memory.from()
    let isOver = false
    let taken = 0
    const sending = publishers.map(async (one) => {
      for (; !isOver; taken += batch) await one.send(publishes('flood', { deliveryMode: 2 }))
    })
    await quietly(() => pause(3_000))
    isOver = true
    memory.check()
    await Promise.all(sending)
    await untilReady(broker, 'flood', taken)
    // 3 s at 1 MiB each 50 ms, what may be under way, and what lay in buffers of the sockets.
    assert.ok(taken * bodyBytes < 200 * MiB, `${taken} messages were taken`)
  })

  const fewUnconfirmed: BrokerOptions = { ...slowDisk, args: ['--limits.unconfirmed-per-channel', '500'] }

  proved('while confirms are due for all a channel may have', fewUnconfirmed, async ({ broker, memory, quietly }) => {
    const publisher = await BluntClient.connect(broker)
    await publisher.call(1, 'queue.declare', { queue: 'due', durable: true })
    await publisher.call(1, 'confirm.select')
    memory.from()
    await quietly(async () => {
      await publisher.sendMany(publishes('due', { deliveryMode: 2 }), batch, 5_000)
    })
    memory.check()
    await untilReady(broker, 'due', 5_000)
  })
})

interface Scene {
  readonly broker: BrokerProcess
  readonly memory: Memory
  /** Runs something beside a quiet connection, which must not notice. */
  quietly(during: () => Promise<unknown>): Promise<void>
}

function proved(title: string, options: BrokerOptions, body: (scene: Scene) => Promise<void>): void {
  void test(title, async (context) => {
    const broker = await BrokerProcess.start(options)
    const quiet = await QuietConnection.start(broker)
    const memory = new Memory(broker.pid)
    try {
      await body({
        broker,
        memory,
        quietly: async (during) => {
          const delays = await quiet.beside(async () => void (await during()))
          context.diagnostic(shown(title, delays))
          assert.ok(delays.max < stallMsMax + delays.gap, shown('the quiet connection had to wait', delays))
        },
      })
      context.diagnostic(memory.shown)
    } finally {
      await quiet.stop()
      // With clients that do not read there would be no end in order.
      await broker.kill('SIGKILL')
      await broker.stop()
    }
  })
}

/** The resident memory of a process. */
class Memory {
  readonly #pid: number | undefined
  #before = 0
  #after = 0

  constructor(pid: number | undefined) {
    this.#pid = pid
  }

  from(): void {
    this.#before = this.#resident()
  }

  check(): void {
    this.#after = this.#resident()
    assert.ok(this.#after - this.#before < growthBytesMax, this.shown)
  }

  get shown(): string {
    return `resident memory: ${Math.round(this.#before / MiB)} MiB before, ${Math.round(this.#after / MiB)} MiB after`
  }

  #resident(): number {
    const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8'))?.[1]
    return Number(kilobytes) * 1024
  }
}

function publishes(routingKey: string, properties: Properties = {}, mandatory = false): Buffer {
  const one = Buffer.concat([
    method(1, 'basic.publish', { routingKey, mandatory }),
    content(1, properties, Buffer.alloc(bodyBytes, 'pressure'), 131_064),
  ])
  return Buffer.concat(Array.from({ length: batch }, () => one))
}

/** Sends on until nothing more is taken for a while. */
function sendUntilStuck(
  client: BluntClient,
  bytes: Buffer,
): { stuck: Promise<void>; messages: () => number; goOn: (how: () => void) => Promise<number> } {
  let batches = 0
  let lastMs = Date.now()
  let isOver = false
  const sending = (async () => {
    for (; !isOver; batches += 1) {
      await client.send(bytes)
      lastMs = Date.now()
    }
  })()
  const stuck = (async () => {
    while (Date.now() - lastMs < 1_000) await pause(50)
    isOver = true
  })()
  return {
    stuck,
    messages: () => batches * batch,
    goOn: async (how) => {
      how()
      await sending
      return batches * batch
    },
  }
}

async function passively(broker: BrokerProcess, queue: string): ReturnType<RawClient['call']> {
  const client = await RawClient.withChannel(broker)
  const answer = await client.call(1, 'queue.declare', { queue, passive: true })
  await client.close()
  return answer
}

async function untilReady(broker: BrokerProcess, queue: string, count: number): Promise<void> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const { args } = await passively(broker, queue)
    if (args['messageCount'] === count) return
    assert.ok(Date.now() < deadline, `${args['messageCount']} of ${count} messages are ready`)
    await pause(20)
  }
}
