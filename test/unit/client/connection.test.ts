import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SeededRandom } from '../../../src/base/random.ts'
import { backoffMs } from '../../../src/client/backoff.ts'
import { channelClosed, connectFailed } from '../../../src/client/errors.ts'
import { fakeClient, states, turns } from './fake-client.ts'

const refused = () => connectFailed(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'one')

describe('backoff', () => {
  it('grows to its maximum, and jitter only shortens it', () => {
    const backoff = { initialMs: 100, factor: 2, maxMs: 1_000, jitter: 0.5 }
    const random = new SeededRandom(3)
    for (const [attempt, longest] of [100, 200, 400, 800, 1_000, 1_000].entries()) {
      for (let round = 0; round < 50; round++) {
        const ms = backoffMs(backoff, attempt + 1, random)
        assert.ok(ms <= longest && ms >= longest / 2, `${ms} for ${longest}`)
      }
    }
    assert.equal(backoffMs({ ...backoff, jitter: 0 }, 3, random), 400)
    assert.equal(backoffMs({ ...backoff, jitter: 0 }, 5_000, random), 1_000)
  })
})

describe('a connection', () => {
  it('comes back with growing delays over all URLs, and tells of each', async () => {
    const reconnect = { initialMs: 100, factor: 2, maxMs: 10_000, jitter: 0 }
    const { client, driver, clock } = await fakeClient({ reconnect }, ['amqp://one', 'amqp://two'])
    const told: string[] = []
    client.on('disconnected', ({ connection }) => told.push(`${connection} lost`))
    client.on('reconnecting', ({ attempt, delayMs }) => told.push(`${attempt}: ${delayMs}`))
    client.on('connected', ({ to }) => told.push(to))
    clock.advance(60_000)
    driver.answer = refused
    driver.last('consuming').lose()
    for (const ms of [100, 200, 400]) {
      await turns()
      clock.advance(ms)
    }
    await turns()
    assert.deepEqual(driver.attempts.slice(1), [
      ...['amqp://two:5672', 'amqp://one:5672'],
      ...['amqp://two:5672', 'amqp://one:5672'],
      ...['amqp://two:5672', 'amqp://one:5672'],
    ])
    driver.answer = () => null
    clock.advance(800)
    await turns()
    assert.deepEqual(told, ['consuming lost', '1: 100', '2: 200', '3: 400', '4: 800', 'amqp://two:5672'])
  })

  it('keeps growing the delays while connections do not last', async () => {
    const reconnect = { initialMs: 100, factor: 2, maxMs: 10_000, jitter: 0 }
    const { client, driver, clock } = await fakeClient({ reconnect })
    const delays: number[] = []
    client.on('reconnecting', ({ delayMs }) => delays.push(delayMs))
    for (const ms of [100, 200, 400]) {
      driver.last('consuming').lose()
      await turns()
      clock.advance(ms)
      await turns()
    }
    clock.advance(60_000)
    driver.last('consuming').lose()
    await turns()
    assert.deepEqual(delays, [100, 200, 400, 100])
  })

  it('declares again what was declared, in order, before anybody uses it', async () => {
    const { client, driver, clock } = await fakeClient()
    const topic = client.topic<string>('events')
    const queue = topic.queue('audit', { deadLetter: 'audit.dead', bindingKeys: ['a', 'b'] })
    const consuming = queue.consume(() => undefined)
    await turns()
    await consuming
    const operations: string[] = []
    driver.operation = (what) => operations.push(what)
    driver.last('consuming').lose()
    clock.advance(1_000)
    await turns()
    assert.deepEqual(operations, [
      'declare queue audit.dead',
      'declare queue audit',
      'declare exchange events',
      'bind queue audit to events',
      'bind queue audit to events',
      'qos 10',
      'consume audit',
    ])
  })

  it('tells what it cannot declare again, and declares the rest', async () => {
    const { client, driver, clock, errors } = await fakeClient()
    await Promise.all([client.queue('a').declare(), client.queue('b').declare()])
    const declared: string[] = []
    driver.operation = (what) => {
      if (what === 'declare queue a') throw channelClosed(406, 'PRECONDITION_FAILED', 'it')
      declared.push(what)
    }
    driver.last('consuming').lose()
    clock.advance(1_000)
    await turns()
    assert.deepEqual(declared, ['declare queue b'])
    assert.deepEqual(errors, ["declaring queue 'a' again"])
  })

  it('declares once, however many ask at the same time, and again after a failure', async () => {
    const { client, driver } = await fakeClient()
    let count = 0
    let isRefused = true
    driver.operation = () => {
      count++
      if (isRefused) throw channelClosed(403, 'ACCESS_REFUSED', 'it')
    }
    const queue = client.queue('q')
    assert.deepEqual(await states([queue.declare(), queue.declare()]), ['CHANNEL_CLOSED', 'CHANNEL_CLOSED'])
    assert.equal(count, 1)
    isRefused = false
    await Promise.all([queue.declare(), queue.declare()])
    assert.equal(count, 2)
  })

  it('ends an operation at its timeout, and bounds the channels of operations', async () => {
    const { client, driver, clock } = await fakeClient({ channelsMax: 2, operationTimeoutMs: 1_000 })
    driver.last('consuming').lose()
    driver.answer = refused
    const asked = Array.from({ length: 5 }, () => client.queue('q').info())
    for (const one of asked) one.catch(() => undefined)
    await turns()
    clock.advance(1_000)
    assert.deepEqual(await states(asked), Array(5).fill('OPERATION_TIMEOUT'))
    driver.answer = () => null
    for (let round = 0; round < 20; round++) {
      clock.advance(30_000)
      await turns()
    }
    await Promise.all(Array.from({ length: 20 }, () => client.queue('q').info()))
    assert.ok(driver.last('consuming').channels.length <= 2)
  })

  it('does not suffer from listeners that throw', async () => {
    const { client, driver, clock, errors } = await fakeClient()
    client.on('disconnected', () => {
      throw new Error('a listener fails')
    })
    driver.last('consuming').lose()
    clock.advance(1_000)
    await turns()
    assert.equal(client.isConnected, true)
    assert.deepEqual(errors, ["a listener of 'disconnected'"])
  })
})
