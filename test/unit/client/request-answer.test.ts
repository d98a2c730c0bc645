/** The answering end over a driver without a broker, and a clock that stands still. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { OutgoingMessage } from '../../../src/client/driver/driver.ts'
import type { Table } from '../../../src/client/driver/properties.ts'
import {
  type RequestContext,
  type RequestHandler,
  Responder,
  type ResponderOptions,
} from '../../../src/client/reply.ts'
import { wire } from '../../../src/client/reply-wire.ts'
import { type FakeClient, fakeClient, turns } from './fake-client.ts'
import type { FakeChannel } from './fake-driver.ts'

interface Stage extends FakeClient {
  readonly responder: Responder<unknown, unknown>
  /** Where requests come in. */
  readonly requests: FakeChannel
  /** Where replies go out, and what the responder is told comes in. */
  readonly replies: () => FakeChannel
  readonly ask: (headers: Table, value?: unknown) => Promise<void>
  /** As `kind body`. */
  readonly told: () => string[]
}

async function stage(handler: RequestHandler<unknown, unknown>, options: ResponderOptions<unknown, unknown> = {}) {
  const fake = await fakeClient()
  const responder = await new Responder<unknown, unknown>(fake.core, 'q', handler, options).start()
  const requests = fake.driver.last('consuming').channels.find(({ consumers }) => consumers.length > 0)
  assert.ok(requests !== undefined)
  const ask = async (headers: Table, value: unknown = null): Promise<void> => {
    const properties = { correlationId: 'c', replyTo: 'back', headers }
    requests.deliver({ properties, body: new TextEncoder().encode(JSON.stringify(value)) })
    await turns()
  }
  const replies = (): FakeChannel => fake.driver.publishChannel
  const told = (): string[] =>
    replies().published.map((message) => `${kind(message)} ${new TextDecoder().decode(message.body)}`)
  return { ...fake, responder, requests, replies, ask, told } satisfies Stage
}

const kind = ({ properties }: OutgoingMessage): unknown => properties.headers?.[wire.reply]

/** What the one who asks would tell. */
async function control({ replies }: Pick<Stage, 'replies'>, headers: Table): Promise<void> {
  const first = replies().published.find(({ properties }) => properties.headers?.[wire.call] !== undefined)
  assert.ok(first !== undefined, 'it has said who it is')
  assert.equal(first.properties.replyTo, 'amq.rabbitmq.reply-to')
  const correlationId = String(first.properties.headers?.[wire.call])
  replies().deliver({ properties: { correlationId, headers } })
  await turns()
}

/** Yields numbers until it is left. */
async function* numbers(_request: unknown, { signal }: RequestContext): AsyncGenerator<number> {
  for (let number = 0; !signal.aborted; number++) yield number
}

describe('an answer', () => {
  it('goes where the request says, and the request is acknowledged behind it', async () => {
    const { ask, told, replies, requests } = await stage((value) => value)
    await ask({}, 'hello')
    const [reply] = replies().published
    assert.deepEqual([reply?.routingKey, reply?.exchange, reply?.isMandatory], ['back', '', false])
    assert.equal(reply?.properties.correlationId, 'c')
    assert.deepEqual([told(), requests.settled], [['value "hello"'], ['ack 1']])
  })

  it('that takes long says who works on it, once, and is told to stop', async () => {
    const signals: AbortSignal[] = []
    const handler = (_value: unknown, { signal }: RequestContext): Promise<unknown> => {
      signals.push(signal)
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
    const fake = await stage(handler)
    await fake.ask({ [wire.timeout]: 1_000 })
    fake.clock.advance(19)
    assert.deepEqual(fake.told(), [])
    fake.clock.advance(1)
    await turns()
    assert.deepEqual(fake.told(), ['accepted '])
    await control(fake, { [wire.control]: 'cancel' })
    assert.equal(signals[0]?.aborted, true)
    // Nobody is told, and the request is dealt with.
    assert.deepEqual([fake.told(), fake.requests.settled], [['accepted '], ['ack 1']])
    await fake.ask({ [wire.timeout]: 1_000 })
    fake.clock.advance(1_000)
    await turns()
    assert.equal(signals[1]?.aborted, true)
    assert.deepEqual(fake.requests.settled, ['ack 1', 'ack 2'])
  })

  it('in parts waits for credit, and ends when nobody reads or says a word', async () => {
    const fake = await stage(numbers)
    await fake.ask({ [wire.window]: 2 })
    assert.deepEqual(fake.told(), ['part 0', 'part 1'])
    await control(fake, { [wire.control]: 'credit', [wire.credit]: 1 })
    assert.deepEqual(fake.told(), ['part 0', 'part 1', 'part 2'])
    fake.clock.advance(29_000)
    await control(fake, { [wire.control]: 'credit', [wire.credit]: 0 })
    fake.clock.advance(29_000)
    await turns()
    assert.deepEqual(fake.requests.settled, [])
    fake.clock.advance(1_000)
    await turns()
    assert.deepEqual([fake.told().length, fake.requests.settled], [3, ['ack 1']])
  })

  it('in parts ends with its channel, because one of them may be missing', async () => {
    const fake = await stage(numbers)
    await fake.ask({ [wire.window]: 1 })
    fake.driver.last('publishing').lose()
    await turns()
    assert.deepEqual(fake.requests.settled, ['ack 1'])
  })

  it('waits for a channel when there is none', async () => {
    const fake = await stage((value) => value)
    fake.driver.last('publishing').lose()
    await fake.ask({}, 1)
    assert.deepEqual(fake.requests.settled, [])
    fake.clock.advance(30_000)
    await turns()
    assert.deepEqual([fake.told(), fake.requests.settled], [['value 1'], ['ack 1']])
  })

  it('says what cannot be read, and needs nobody to tell it to', async () => {
    const fake = await stage(() => 1)
    fake.requests.deliver({ properties: { replyTo: 'back' }, body: new TextEncoder().encode('{') })
    fake.requests.deliver({ properties: {} })
    await turns()
    assert.match(fake.told()[0] ?? '', /^error .*BAD_BODY/)
    assert.deepEqual([fake.told().length, fake.requests.settled], [1, ['ack 1', 'ack 2']])
  })
})
