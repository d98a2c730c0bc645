/** What sentences about Warren's own features do again and again, on top of `protocol/steps.ts`. */
import assert from 'node:assert/strict'
import type { Arrival, Publish, RawClient } from '../../support/amqp/raw-client.ts'
import { type Table, typed, type Value } from '../../support/amqp/wire.ts'
import type { Stage } from '../protocol/sentences.ts'
import { counts, pass, tagOf, text, worked } from '../protocol/steps.ts'

/** 64-bit, for times since 1970. */
export const long = (value: number): Value => typed('l', value)

/** A persistent message with headers. */
export function message(body: string, headers: Table = {}, properties: Publish['properties'] = {}): Publish {
  return { body, properties: { deliveryMode: 2, headers, ...properties } }
}

/** A durable queue, deleted at the end. */
export async function durable(stage: Stage, client: RawClient, args: Table = {}): Promise<string> {
  const queue = stage.name('q')
  stage.deleteLater(queue)
  await client.call(1, 'queue.declare', { queue, durable: true, arguments: args })
  return queue
}

/** A client with channel 1 open and a durable queue of its own. */
export async function durableScene(stage: Stage, args: Table = {}): Promise<{ client: RawClient; queue: string }> {
  const client = await stage.client()
  return { client, queue: await durable(stage, client, args) }
}

export interface Consuming {
  readonly prefetch?: number
  readonly noAck?: boolean
  readonly args?: Table
  readonly tag?: string
}

/** A consumer on a channel of its own; gives the channel's number, which is what it was called with. */
export async function consume(
  client: RawClient,
  channel: number,
  queue: string,
  { prefetch = 0, noAck = false, args = {}, tag = '' }: Consuming = {},
): Promise<number> {
  await client.call(channel, 'channel.open')
  await client.call(channel, 'basic.qos', { prefetchCount: prefetch })
  await client.call(channel, 'basic.consume', { queue, noAck, consumerTag: tag, arguments: args })
  return channel
}

export const delivery = (client: RawClient, channel: number): Promise<Arrival> =>
  client.expect(channel, 'basic.deliver')

/** The bodies of the next deliveries, in order. */
export async function bodies(client: RawClient, channel: number, count: number): Promise<(string | undefined)[]> {
  return (await client.expectMany(channel, 'basic.deliver', count)).map(text)
}

export function ack(client: RawClient, one: Arrival | null): void {
  client.send(one?.channel ?? 1, 'basic.ack', { deliveryTag: tagOf(one) })
}

export function nack(client: RawClient, one: Arrival | null): void {
  client.send(one?.channel ?? 1, 'basic.nack', { deliveryTag: tagOf(one), requeue: true })
}

/** Fails it: back with a failure counted, or without `requeue` for good. */
export function rejectOne(client: RawClient, one: Arrival | null, { requeue = true } = {}): void {
  client.send(one?.channel ?? 1, 'basic.reject', { deliveryTag: tagOf(one), requeue })
}

/** After `ms` nothing has come on this channel. */
export async function nothing(client: RawClient, channel: number, ms = 80): Promise<void> {
  await pass(ms)
  await worked(client, channel)
  assert.deepEqual(client.waiting(channel), [], `nothing comes on channel ${channel}`)
}

export async function ready(client: RawClient, queue: string): Promise<number> {
  return (await counts(client, queue))[0]
}

/** Each of these publishes closes the channel with 406 and a text like this. */
export async function refused(client: RawClient, publish: Publish, about: string | RegExp): Promise<void> {
  const channel = 80
  await client.call(channel, 'channel.open')
  client.publish(channel, publish)
  await client.expectChannelClose(channel, 406, about)
}

/** Each of these arguments makes a declaration fail with 406 and a text like this. */
export async function refusedArguments(
  stage: Stage,
  client: RawClient,
  cases: readonly (readonly [args: Table, about: RegExp])[],
): Promise<void> {
  const channel = 81
  for (const [args, about] of cases) {
    await client.call(channel, 'channel.open')
    client.send(channel, 'queue.declare', { queue: stage.name('no'), exclusive: true, arguments: args })
    await client.expectChannelClose(channel, 406, about)
  }
}

/** Asserts that at least `ms` have passed since `since`: what is promised is "not before". */
export function notBefore(since: number, ms: number, what: string): void {
  const passed = Date.now() - since
  assert.ok(passed >= ms, `${what}: ${passed} ms after, and it is not to be before ${ms} ms`)
}
