/**
 * Very many confirmed publishes while the broker is killed again and again: none lost, and twice only what was on its
 * way at a kill. `WARREN_CLIENT_MESSAGES` and `WARREN_CLIENT_RESTARTS` make it longer.
 */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, connect } from '../../src/client/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'

const messages = Number(process.env['WARREN_CLIENT_MESSAGES'] ?? '60000')
const restarts = Number(process.env['WARREN_CLIENT_RESTARTS'] ?? '4')
/** Sends that wait for their confirm at once, at most. */
const windowMax = 2_000
const quick = { reconnect: { initialMs: 20, maxMs: 200 }, confirmTimeoutMs: 120_000 }

describe('a client whose broker is killed', { skip: process.env['WARREN_TEST_URL'] !== undefined }, () => {
  let broker: BrokerProcess
  const clients: Client[] = []
  after(async () => {
    await Promise.all(clients.map((client) => client.close({ timeoutMs: 1_000 })))
    await broker.stop()
  })

  const open = async (): Promise<Client> => {
    const client = await connect(broker.url, quick)
    clients.push(client)
    return client
  }

  /** Sends number after number; calls back whenever as many more are confirmed as stand between two kills. */
  async function send(client: Client, queueName: string, step: number, reached: () => Promise<void>): Promise<number> {
    const queue = client.queue<number>(queueName)
    let confirmed = 0
    let failed = 0
    let disturbance = Promise.resolve()
    for (let number = 0; number < messages; number++) {
      const sent = queue.send(number).then(
        () => {
          if (++confirmed % step === 0) disturbance = disturbance.then(reached)
        },
        () => failed++,
      )
      if (number % windowMax === windowMax - 1) await sent
    }
    while (confirmed + failed < messages) await sleep(20)
    await disturbance
    assert.equal(failed, 0, 'no send was refused')
    return confirmed
  }

  it(`loses none of ${messages} confirmed messages through ${restarts} kills`, async (context) => {
    broker = await BrokerProcess.start()
    let kills = 0
    const confirmed = await send(await open(), 'numbers', Math.ceil(messages / (restarts + 1)), async () => {
      if (kills === restarts) return
      kills++
      await broker.kill('SIGKILL')
      await broker.restart()
    })
    assert.equal(confirmed, messages)
    assert.equal(kills, restarts)

    const seen = new Uint8Array(messages)
    const queue = (await open()).queue<number>('numbers')
    const { messageCount } = await queue.info()
    let received = 0
    const consumer = await queue.consume(
      (message) => {
        seen[message.body] = Math.min(255, (seen[message.body] ?? 0) + 1)
        received++
      },
      { prefetch: 1_000, concurrency: 100 },
    )
    while (received < messageCount) await sleep(20)
    await consumer.stop()
    const lost = seen.reduce((sum, count) => sum + (count === 0 ? 1 : 0), 0)
    const twice = received - (messages - lost)
    context.diagnostic(`${messages} messages, ${kills} kills, ${twice} twice`)
    assert.equal(lost, 0, `${lost} confirmed messages are lost`)
    assert.ok(twice <= kills * windowMax * 2, `${twice} came twice, more than can have been on their way`)
  })
})
