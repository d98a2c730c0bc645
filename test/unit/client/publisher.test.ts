import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ClientOptions } from '../../../src/client/options.ts'
import { fakeClient, states, turns } from './fake-client.ts'

async function sender(options: ClientOptions = {}) {
  const made = await fakeClient(options)
  const queue = made.client.queue<number | string>('q', { declare: false })
  const send = (...bodies: (number | string)[]): Promise<void>[] => bodies.map((body) => seenLater(queue.send(body)))
  return { ...made, queue, send }
}

/** Its error is looked at later, not at once. */
function seenLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

describe('publishing', () => {
  it('settles by single and by multiple confirms, in any order', async () => {
    const { driver, send } = await sender()
    const sends = send(1, 2, 3, 4)
    await turns()
    driver.publishChannel.events.confirmed(2, false, false)
    assert.deepEqual(await states(sends), ['pending', 'ok', 'pending', 'pending'])
    driver.publishChannel.events.confirmed(3, true, false)
    assert.deepEqual(await states(sends), ['ok', 'ok', 'ok', 'pending'])
    driver.publishChannel.events.confirmed(4, false, true)
    assert.deepEqual(await states(sends), ['ok', 'ok', 'ok', 'NACKED'])
  })

  it('blames a return on the message with its id, also when another comes first', async () => {
    const { driver, queue } = await sender()
    const sends = [
      seenLater(queue.send(1, { messageId: 'a' })),
      seenLater(queue.send(2, { messageId: 'b' })),
      seenLater(queue.send(3)),
    ]
    await turns()
    const { published, events } = driver.publishChannel
    const back = published[1]
    assert.ok(back)
    events.returned({ replyCode: 312, replyText: 'NO_ROUTE', ...back })
    events.confirmed(3, true, false)
    assert.deepEqual(await states(sends), ['ok', 'RETURNED', 'ok'])
  })

  it('publishes again on a new connection, unconfirmed first and in order', async () => {
    const { driver, clock, send } = await sender()
    const sends = send(1, 2, 3)
    await turns()
    driver.publishChannel.events.confirmed(1, false, false)
    driver.last('publishing').lose()
    sends.push(...send(4))
    clock.advance(1_000)
    await turns()
    assert.deepEqual(driver.publishChannel.bodies, ['2', '3', '4'])
    driver.publishChannel.events.confirmed(3, true, false)
    assert.deepEqual(await states(sends), ['ok', 'ok', 'ok', 'ok'])
  })

  it('keeps to its window in messages, and goes on as confirms come', async () => {
    const { driver, send, client } = await sender({ unconfirmedMax: 2 })
    const sends = send(1, 2, 3, 4, 5)
    await turns()
    assert.deepEqual(driver.publishChannel.bodies, ['1', '2'])
    assert.equal(client.pendingSends, 5)
    driver.publishChannel.events.confirmed(2, true, false)
    assert.deepEqual(driver.publishChannel.bodies, ['1', '2', '3', '4'])
    driver.publishChannel.events.confirmed(4, true, false)
    driver.publishChannel.events.confirmed(5, true, false)
    assert.deepEqual(await states(sends), Array(5).fill('ok'))
    assert.equal(client.pendingSends, 0)
  })

  it('keeps to its window in bytes', async () => {
    const { driver, send } = await sender({ unconfirmedBytesMax: 1_000 })
    send('x'.repeat(900), 'y', 'z')
    await turns()
    assert.equal(driver.publishChannel.published.length, 1)
  })

  it('rejects at the timeout what was sent, what waits, and nothing later', async () => {
    const { driver, clock, send } = await sender({ confirmTimeoutMs: 1_000, unconfirmedMax: 1 })
    const early = send(1, 2)
    await turns()
    clock.advance(600)
    const later = send(3)
    clock.advance(400)
    assert.deepEqual(await states([...early, ...later]), ['CONFIRM_TIMEOUT', 'CONFIRM_TIMEOUT', 'pending'])
    assert.deepEqual(driver.publishChannel.bodies, ['1', '3'])
    driver.publishChannel.events.confirmed(1, false, false)
    driver.publishChannel.events.confirmed(2, false, false)
    assert.deepEqual(await states(later), ['ok'])
  })

  it('does not publish again what has timed out', async () => {
    const { driver, clock, send } = await sender({ confirmTimeoutMs: 1_000 })
    send(1)
    await turns()
    clock.advance(1_000)
    send(2)
    driver.last('publishing').lose()
    clock.advance(500)
    await turns()
    assert.deepEqual(driver.publishChannel.bodies, ['2'])
  })

  it('holds messages while the broker is blocked, and says so at the timeout', async () => {
    const { driver, clock, send } = await sender({ confirmTimeoutMs: 1_000 })
    const first = send(1)
    await turns()
    driver.publishChannel.events.confirmed(1, false, false)
    driver.last('publishing').events.blocked('low on memory')
    const held = send(2)
    clock.advance(500)
    const younger = send(3)
    await turns()
    assert.deepEqual(driver.publishChannel.bodies, ['1'])
    clock.advance(500)
    assert.deepEqual(await states([...first, ...held, ...younger]), ['ok', 'BLOCKED', 'pending'])
    driver.last('publishing').events.unblocked()
    await turns()
    assert.deepEqual(driver.publishChannel.bodies, ['1', '3'])
  })

  it('finds the message the broker refuses by sending one at a time, and the others get through', async () => {
    const { driver, send } = await sender()
    const sends = send(1, 2, 3, 4)
    await turns()
    const seen: string[] = []
    driver.publishChannel.refuse(404)
    for (let round = 0; round < 10 && seen.length < 5; round++) {
      await turns()
      const channel = driver.publishChannel
      if (!channel.isOpen || channel.published.length === 0) continue
      const body = channel.bodies.at(-1) ?? ''
      if (body !== seen.at(-1)) seen.push(body)
      if (body === '3') channel.refuse(404)
      else channel.events.confirmed(channel.published.length, true, false)
    }
    assert.deepEqual(seen, ['1', '2', '3', '4'])
    assert.deepEqual(await states(sends), ['ok', 'ok', 'CHANNEL_CLOSED', 'ok'])
  })

  it('rejects what is left when the client is closed, and all that comes after', async () => {
    const { client, clock, send, driver } = await sender()
    const sends = send(1, 2)
    await turns()
    driver.publishChannel.events.confirmed(1, false, false)
    const closed = client.close({ timeoutMs: 100 })
    await turns()
    clock.advance(100)
    await closed
    assert.deepEqual(await states([...sends, ...send(3)]), ['ok', 'CLOSED', 'CLOSED'])
  })

  it('closes as soon as all is confirmed', async () => {
    const { client, send, driver } = await sender()
    const sends = send(1)
    await turns()
    const closed = client.close({ timeoutMs: 1_000 })
    await turns()
    driver.publishChannel.events.confirmed(1, false, false)
    await closed
    assert.deepEqual(await states(sends), ['ok'])
  })

  it('opens its channel again when the broker closes it while nothing is under way', async () => {
    const { driver, send } = await sender()
    const first = send(1)
    await turns()
    driver.publishChannel.events.confirmed(1, false, false)
    driver.publishChannel.refuse(541)
    await turns()
    const second = send(2)
    await turns()
    assert.deepEqual(driver.publishChannel.bodies, ['2'])
    driver.publishChannel.events.confirmed(1, false, false)
    assert.deepEqual(await states([...first, ...second]), ['ok', 'ok'])
  })

  it('keeps the order of sends whose check takes time', async () => {
    const { client, driver } = await fakeClient()
    const waits: (() => void)[] = []
    const queue = client.queue('q', {
      declare: false,
      schema: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: (value) => new Promise((resolve) => waits.push(() => resolve({ value }))),
        },
      },
    })
    void queue.send(1)
    void queue.send(2)
    await turns()
    waits[1]?.()
    await turns()
    assert.throws(() => driver.publishChannel)
    waits[0]?.()
    await turns()
    assert.deepEqual(driver.publishChannel.bodies, ['1', '2'])
  })
})
