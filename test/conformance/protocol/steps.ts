/** What sentences about queues do again and again: make one, fill it, look into it, wait for what comes of itself. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Arrival, Publish, RawClient } from '../../support/amqp/raw-client.ts'
import { type Table, typed, type Value } from '../../support/amqp/wire.ts'
import type { Stage } from './sentences.ts'

/** The two types of RabbitMQ that Warren takes as names for its one kind of queue. */
export const queueTypes = ['classic', 'quorum'] as const
export type QueueType = (typeof queueTypes)[number]

/** How long to wait for what a broker does on its own account. */
const eventMsMax = 60_000

const confirmingChannel = 90
const lookingChannel = 91
const deadChannel = 92

export const text = (one: Arrival | null): string | undefined => one?.body.toString()
export const tagOf = (one: Arrival | null): number => Number(one?.args['deliveryTag'])
export const headersOf = (one: Arrival | null): Table => (one?.properties['headers'] ?? {}) as Table
/** A number as most clients send arguments. */
export const int = (value: number): Value => typed('I', value)

/** Real time passes here, for what is about time: it is never measured, only given. */
export const pass = (ms: number): Promise<void> => sleep(ms)

/** A queue of its own for this test. A classic one goes with the connection, a quorum queue is deleted at the end. */
export async function declare(
  stage: Stage,
  client: RawClient,
  args: Table = {},
  type: QueueType = 'classic',
): Promise<string> {
  const queue = stage.name('q')
  if (type === 'classic') {
    await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: args })
    return queue
  }
  stage.deleteLater(queue)
  await client.call(1, 'queue.declare', { queue, durable: true, arguments: { ...args, 'x-queue-type': 'quorum' } })
  return queue
}

/** A client with channel 1 open and a queue of its own. */
export async function scene(
  stage: Stage,
  args: Table = {},
  type: QueueType = 'classic',
): Promise<{ client: RawClient; queue: string }> {
  const client = await stage.client()
  return { client, queue: await declare(stage, client, args, type) }
}

// ---------------------------------------------------------------- publishing

/** Publishes in confirm mode and gives what became of each, in order: `ack` or `nack`. */
export async function publish(client: RawClient, ...publishes: readonly Publish[]): Promise<string[]> {
  const channel = confirmingChannel
  await client.call(channel, 'channel.open')
  await client.call(channel, 'confirm.select')
  client.sendBytes(...publishes.map((one) => client.publishBytes(channel, one)))
  const outcomes: string[] = []
  while (outcomes.filter((one) => one !== undefined).length < publishes.length) {
    const answer = await client.next(channel)
    assert.ok(answer.name === 'basic.ack' || answer.name === 'basic.nack', `a publish was answered by ${answer.name}`)
    const last = tagOf(answer)
    for (let number = answer.args['multiple'] === true ? 1 : last; number <= last; number += 1) {
      outcomes[number - 1] ??= answer.name.slice('basic.'.length)
    }
  }
  await client.call(channel, 'channel.close', { replyCode: 200 })
  return outcomes
}

/** Puts messages into a queue; all of them must be taken. */
export async function fill(client: RawClient, queue: string, ...bodies: readonly string[]): Promise<void> {
  await publishTo(client, queue, ...bodies.map((body) => ({ body })))
}

/** The same with properties. */
export async function publishTo(client: RawClient, queue: string, ...messages: readonly Publish[]): Promise<void> {
  const outcomes = await publish(client, ...messages.map((message) => ({ routingKey: queue, ...message })))
  assert.deepEqual([...new Set(outcomes)], ['ack'])
}

// ---------------------------------------------------------------- looking

/** Asks until it holds. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + eventMsMax; !(await holds()); ) {
    assert.ok(Date.now() < deadline, `not within ${eventMsMax} ms: ${what}`)
    await sleep(10)
  }
}

/** Ready messages and consumers. */
export async function counts(client: RawClient, queue: string): Promise<[number, number]> {
  await client.call(lookingChannel, 'channel.open')
  const { args } = await client.call(lookingChannel, 'queue.declare', { queue, passive: true })
  await client.call(lookingChannel, 'channel.close', { replyCode: 200 })
  return [Number(args['messageCount']), Number(args['consumerCount'])]
}

export async function untilReady(client: RawClient, queue: string, ready: number): Promise<void> {
  await until(`'${queue}' has ${ready} ready`, async () => (await counts(client, queue))[0] === ready)
}

/** Everything ready, taken and gone. */
export async function take(client: RawClient, queue: string): Promise<string[]> {
  await client.call(lookingChannel, 'channel.open')
  const bodies = await client.drain(lookingChannel, queue)
  await client.call(lookingChannel, 'channel.close', { replyCode: 200 })
  return bodies
}

/** Whether the queue is there. */
export async function exists(client: RawClient, queue: string): Promise<boolean> {
  await client.call(lookingChannel, 'channel.open')
  client.send(lookingChannel, 'queue.declare', { queue, passive: true })
  const answer = await client.next(lookingChannel)
  const isThere = answer.name === 'queue.declare-ok'
  if (isThere) await client.call(lookingChannel, 'channel.close', { replyCode: 200 })
  else client.send(lookingChannel, 'channel.close-ok')
  return isThere
}

/** Waits until what was sent on this channel before has been worked on. */
export async function worked(client: RawClient, channel = 1): Promise<void> {
  await client.call(channel, 'basic.qos')
}

// ---------------------------------------------------------------- dead letters

/** A queue for dead letters, and its consumer. */
export interface DeadLetters {
  readonly queue: string
  /** Arguments that send a queue's dead letters here. */
  readonly args: Table
  next(): Promise<Arrival>
  /** The bodies of the next ones. */
  bodies(count: number): Promise<string[]>
  /** After `ms` none has come. */
  none(ms?: number): Promise<void>
}

export async function deadLetters(stage: Stage, client: RawClient): Promise<DeadLetters> {
  const queue = stage.name('dead')
  await client.call(deadChannel, 'channel.open')
  await client.call(deadChannel, 'queue.declare', { queue, exclusive: true })
  await client.call(deadChannel, 'basic.consume', { queue, noAck: true })
  const next = (): Promise<Arrival> => client.expect(deadChannel, 'basic.deliver')
  return {
    queue,
    args: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue },
    next,
    bodies: async (count) => {
      const bodies: string[] = []
      while (bodies.length < count) bodies.push((await next()).body.toString())
      return bodies
    },
    none: async (ms = 100) => {
      await pass(ms)
      await worked(client, deadChannel)
      assert.deepEqual(client.waiting(deadChannel), [], 'nothing is dead-lettered')
    },
  }
}

/** A queue whose dead letters are consumed by the same client. */
export async function mortal(
  stage: Stage,
  args: Table = {},
): Promise<{ client: RawClient; queue: string; dead: DeadLetters }> {
  const client = await stage.client()
  const dead = await deadLetters(stage, client)
  return { client, queue: await declare(stage, client, { ...dead.args, ...args }), dead }
}

/** Takes the next message of the queue and rejects it. */
export async function reject(client: RawClient, queue: string): Promise<Arrival> {
  const got = await client.get(1, queue, { noAck: false })
  assert.ok(got !== null, `'${queue}' has a message`)
  client.send(1, 'basic.reject', { deliveryTag: got.args['deliveryTag'] ?? 0, requeue: false })
  return got
}

/** The entries of `x-death`, newest first. */
export function deaths(one: Arrival): readonly Table[] {
  return (headersOf(one)['x-death'] ?? []) as readonly Table[]
}

/** An entry without its time, which is checked to be about now. */
export function death(entry: Table | undefined): Table {
  assert.ok(entry !== undefined, 'there is such an entry in x-death')
  const { time, ...rest } = entry
  const seconds = Date.now() / 1000
  assert.ok(Math.abs(Number(time) - seconds) < 60, `x-death has the time ${String(time)}, and now it is ${seconds}`)
  return rest
}
