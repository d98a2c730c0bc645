/**
 * What the typed client costs above the library it uses, and what a broker in the same process costs: CPU of this process
 * for each confirmed publish of a small JSON message, and for each acknowledged delivery.
 *
 *   node dist/bench/client.js [messages]
 *
 * Over TCP the broker is a process of its own, so its CPU is not counted; in-process it is.
 */
import { AMQPClient } from '@cloudamqp/amqp-client'
import { connect, type Queue } from '../src/client/index.ts'
import { Broker } from '../src/index.ts'
import { BrokerProcess } from '../test/support/broker-process.ts'

const messages = Number(process.argv[2] ?? '100000')
const rounds = 3
/** Confirms and deliveries outstanding. */
const windowSize = 1_000
const body = { id: 123_456, name: 'a message of some two hundred bytes as JSON', tags: ['one', 'two', 'three'], at: 0 }
const text = JSON.stringify({ ...body, filler: 'x'.repeat(200 - JSON.stringify(body).length - 14) })
const payload = JSON.parse(text) as typeof body

interface Cost {
  readonly what: string
  readonly publishMicros: number
  readonly consumeMicros: number
}

/** Microseconds of CPU of this process for each message, while `work` runs. */
async function measure(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / messages
}

async function ofLibrary(url: string, queue: string): Promise<Cost> {
  const connection = await new AMQPClient(url).connect()
  const channel = await connection.channel()
  await channel.confirmSelect()
  await channel.queueDeclare(queue, { durable: true })
  const publishMicros = await measure(() =>
    inWindows((): Promise<unknown> => channel.basicPublish('', queue, JSON.stringify(payload), { deliveryMode: 2 })),
  )
  const consumeMicros = await measure(async () => {
    await channel.basicQos(windowSize)
    await new Promise<void>((resolve) => {
      let left = messages
      void channel.basicConsume(queue, { noAck: false }, async (message) => {
        JSON.parse(message.bodyString() ?? '')
        await message.ack()
        if (--left === 0) resolve()
      })
    })
  })
  await connection.close()
  return { what: 'the library alone, TCP', publishMicros, consumeMicros }
}

async function ofClient(what: string, queue: Queue<typeof body>): Promise<Cost> {
  await queue.declare()
  const publishMicros = await measure(() => inWindows(() => queue.send(payload)))
  const consumeMicros = await measure(async () => {
    let left = messages
    let done = (): void => {}
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    const consumer = await queue.consume(
      () => {
        if (--left === 0) done()
      },
      { prefetch: windowSize, concurrency: windowSize },
    )
    await all
    await consumer.stop()
  })
  return { what, publishMicros, consumeMicros }
}

async function inWindows(send: () => Promise<unknown>): Promise<void> {
  for (let sent = 0; sent < messages; sent += windowSize) {
    const window: Promise<unknown>[] = []
    for (let index = sent; index < Math.min(messages, sent + windowSize); index++) window.push(send())
    await Promise.all(window)
  }
}

const outside = await BrokerProcess.start()
const client = await connect(outside.url)
const inside = await Broker.start({ storage: 'memory' })
const near = await inside.connect()
const costs: Cost[] = []
for (let round = 0; round < rounds; round++) {
  costs.push(await ofLibrary(outside.url, `library-${round}`))
  costs.push(await ofClient('the typed client, TCP', client.queue(`typed-${round}`)))
  costs.push(await ofClient('the typed client and the broker in one process', near.queue(`near-${round}`)))
}
await client.close()
await inside.stop()
await outside.stop()

console.log(`${messages} messages of ${text.length} bytes, persistent and confirmed; µs of CPU each, ${rounds} rounds`)
for (const what of new Set(costs.map((cost) => cost.what))) {
  const own = costs.filter((cost) => cost.what === what)
  const list = (values: number[]): string => values.map((value) => value.toFixed(1)).join(' · ')
  console.log(
    `${what}: publish ${list(own.map((cost) => cost.publishMicros))}, consume ${list(own.map((cost) => cost.consumeMicros))}`,
  )
}
