/** Arguments and properties of a wrong type or value: which code, which text, and that nothing else suffers. */
import assert from 'node:assert/strict'
import { type Args, type Table, TypedValue, typed, type Value } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'
import { counts, fill, int, publishTo, scene, take, text, worked } from './steps.ts'

export function badInput(sentences: Sentences): void {
  queueArguments(sentences)
  acceptedArguments(sentences)
  inequivalentArguments(sentences)
  exchangeArguments(sentences)
  consumerArguments(sentences)
  publishedProperties(sentences)
  keys(sentences)
}

/** What the error says after the name of the argument and of the queue. */
interface Wrong {
  readonly key: string
  readonly value: Value
  readonly says: string
  /** More arguments that go with it. */
  readonly args?: Table
}

const notInteger = (type: string): string => `"expected integer, got ${type}"`
const unacceptable = (type: string): string => `{unacceptable_type,${type}}`
/** As it stands in a title. */
const shown = (value: Value): string =>
  value instanceof TypedValue ? `${value.tag}:${value.value}` : JSON.stringify(value)

const integers = ['x-expires', 'x-message-ttl', 'x-max-length', 'x-max-length-bytes', 'x-max-priority']
const strings = ['x-dead-letter-exchange', 'x-dead-letter-routing-key', 'x-overflow', 'x-queue-type']
const dlx: Table = { 'x-dead-letter-exchange': 'dlx' }

const wrongArguments: readonly Wrong[] = [
  ...integers.flatMap((key): Wrong[] => [
    { key, value: '100', says: notInteger('longstr') },
    { key, value: true, says: notInteger('bool') },
    { key, value: typed('d', 100), says: notInteger('double') },
    { key, value: [int(1)], says: notInteger('array') },
    { key, value: null, says: notInteger('void') },
    { key, value: int(-1), says: '{value_negative,-1}' },
    { key, value: typed('l', -(2n ** 63n)), says: '{value_negative,-9223372036854775808}' },
  ]),
  { key: 'x-expires', value: int(0), says: '{value_zero,0}' },
  ...['x-expires', 'x-message-ttl'].flatMap((key): Wrong[] => [
    { key, value: typed('l', 315_360_000_001), says: '{value_too_large,315360000001}' },
    { key, value: typed('l', 2n ** 63n - 1n), says: '{value_too_large,9223372036854775807}' },
  ]),
  { key: 'x-max-priority', value: int(256), says: '{max_value_exceeded,256}' },
  { key: 'x-max-priority', value: typed('l', 2n ** 40n), says: '{max_value_exceeded,1099511627776}' },
  ...strings.flatMap((key): Wrong[] => [
    { key, value: int(1), says: unacceptable('signedint'), args: dlx },
    { key, value: typed('T', 1), says: unacceptable('timestamp'), args: dlx },
  ]),
  { key: 'x-dead-letter-routing-key', value: 'key', says: 'routing_key_but_no_dlx_defined' },
  { key: 'x-overflow', value: 'spill', says: 'invalid_overflow' },
  { key: 'x-queue-type', value: 'heap', says: `"unsupported queue type 'heap'"` },
  { key: 'x-single-active-consumer', value: 'true', says: unacceptable('longstr') },
  { key: 'x-single-active-consumer', value: int(1), says: unacceptable('signedint') },
]

/** An exchange argument of a wrong type is found by another check, with another text. */
const exchangeArgument = (key: string, type: string, what: string): string =>
  `invalid type '${type}' for arg '${key}' in ${what}`

function queueArguments(sentences: Sentences): void {
  for (const { key, value, says, args = {} } of wrongArguments) {
    sentences.prove(`a queue with ${key} = ${shown(value)} is refused: ${says}`, async (stage) => {
      const client = await stage.client()
      const queue = stage.name('q')
      const what = `queue '${queue}' in vhost '/'`
      client.send(1, 'queue.declare', { queue, exclusive: true, arguments: { ...args, [key]: value } })
      const type = says.match(/^\{unacceptable_type,(.*)\}$/)?.[1]
      const text =
        key === 'x-dead-letter-exchange' && type !== undefined
          ? exchangeArgument(key, type, what)
          : `invalid arg '${key}' for ${what}: ${says}`
      const close = await client.expectChannelClose(1, 406, `PRECONDITION_FAILED - ${text}`.slice(0, 255))
      assert.deepEqual([close.args['classId'], close.args['methodId']], [50, 10])
      await client.call(1, 'channel.open')
      client.send(1, 'queue.declare', { queue, passive: true })
      await client.expectChannelClose(1, 404, `NOT_FOUND - no queue '${queue}' in vhost '/'`)
    })
  }

  sentences.prove('a fraction that is no number is refused like any other', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    for (const key of integers) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        client.send(1, 'queue.declare', { queue, exclusive: true, arguments: { [key]: typed('d', value) } })
        const text = `invalid arg '${key}' for queue '${queue}' in vhost '/': ${notInteger('double')}`
        await client.expectChannelClose(1, 406, `PRECONDITION_FAILED - ${text}`)
        await client.call(1, 'channel.open')
      }
    }
  })

  sentences.prove('an argument of streams on another queue is refused', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    client.send(1, 'queue.declare', { queue, exclusive: true, arguments: { 'x-max-age': '1h' } })
    const text = `PRECONDITION_FAILED - invalid arg 'x-max-age' for queue '${queue}' in vhost '/' of queue type `
    await client.expectChannelClose(1, 406, new RegExp(`^${text}`))
  })
}

function acceptedArguments(sentences: Sentences): void {
  const accepted: readonly Table[] = [
    { 'x-message-ttl': int(0) },
    { 'x-message-ttl': typed('l', 315_360_000_000) },
    { 'x-expires': typed('l', 315_360_000_000) },
    { 'x-max-length': typed('l', 2n ** 63n - 1n), 'x-max-length-bytes': typed('l', 2n ** 63n - 1n) },
    { 'x-max-priority': int(255) },
    { 'x-max-priority': typed('b', 10) },
    { 'x-dead-letter-exchange': '' },
    { 'x-dead-letter-exchange': 'missing', 'x-dead-letter-routing-key': '' },
  ]
  for (const args of accepted) {
    const what = Object.entries(args).map(([key, value]) => `${key} = ${shown(value)}`)
    sentences.prove(`a queue with ${what.join(' and ')} works`, async (stage) => {
      const { client, queue } = await scene(stage, args)
      await client.call(1, 'basic.consume', { queue, noAck: true })
      await fill(client, queue, 'a')
      assert.equal(text(await client.expect(1, 'basic.deliver')), 'a')
    })
  }
}

function inequivalentArguments(sentences: Sentences): void {
  const pairs: readonly (readonly [string, Value, Value, string, Table?])[] = [
    ['x-expires', int(60_000), int(70_000), 'signedint'],
    ['x-message-ttl', int(60_000), int(0), 'signedint'],
    ['x-max-length', int(10), int(11), 'signedint'],
    ['x-max-length-bytes', typed('l', 10), typed('l', 11), 'long'],
    ['x-max-priority', typed('b', 10), typed('b', 9), 'byte'],
    ['x-overflow', 'reject-publish', 'drop-head', 'longstr'],
    ['x-dead-letter-exchange', 'one', 'other', 'longstr'],
    ['x-dead-letter-routing-key', 'one', 'other', 'longstr', dlx],
    ['x-single-active-consumer', true, false, 'bool'],
  ]
  for (const [key, current, other, type, args = {}] of pairs) {
    sentences.prove(`a queue declared again without its ${key}, or with another, is refused`, async (stage) => {
      const { client, queue } = await scene(stage, { ...args, [key]: current })
      const [was, would] = [current, other].map((value) => (value instanceof TypedValue ? value.value : value))
      const about = `PRECONDITION_FAILED - inequivalent arg '${key}' for queue '${queue}' in vhost '/': received`
      const again = async (more: Table, says: string): Promise<void> => {
        client.send(1, 'queue.declare', { queue, exclusive: true, arguments: { ...args, ...more } })
        await client.expectChannelClose(1, 406, `${about} ${says}`.slice(0, 255))
        await client.call(1, 'channel.open')
      }
      await again({}, `none but current is the value '${was}' of type '${type}'`)
      await again({ [key]: other }, `'${would}' but current is '${was}'`)
      await client.call(1, 'queue.declare', { queue, exclusive: true, arguments: { ...args, [key]: current } })
    })
  }

  sentences.prove('a queue declared again with an argument it did not have is refused', async (stage) => {
    const { client, queue } = await scene(stage)
    client.send(1, 'queue.declare', { queue, exclusive: true, arguments: { 'x-max-length': int(5) } })
    const about = `PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '${queue}' in vhost '/'`
    await client.expectChannelClose(1, 406, `${about}: received the value '5' of type 'signedint' but current is none`)
  })

  sentences.prove('a queue declared again with another x-queue-type is refused', async (stage) => {
    const { client, queue } = await scene(stage, {}, 'quorum')
    client.send(1, 'queue.declare', { queue, durable: true, arguments: { 'x-queue-type': 'classic' } })
    const about = `PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '${queue}' in vhost '/'`
    await client.expectChannelClose(1, 406, `${about}: received 'classic' but current is 'quorum'`)
  })
}

function exchangeArguments(sentences: Sentences): void {
  sentences.prove('an alternate-exchange that is no string is refused', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('x')
    for (const [value, type] of [
      [int(1), 'signedint'],
      [true, 'bool'],
      [{}, 'table'],
    ] as const) {
      client.send(1, 'exchange.declare', { exchange, type: 'direct', arguments: { 'alternate-exchange': value } })
      const text = exchangeArgument('alternate-exchange', type, `exchange '${exchange}' in vhost '/'`)
      await client.expectChannelClose(1, 406, `PRECONDITION_FAILED - ${text}`)
      await client.call(1, 'channel.open')
    }
  })
}

function consumerArguments(sentences: Sentences): void {
  for (const [value, type] of [
    ['high', 'longstr'],
    [typed('d', 1.5), 'double'],
    [true, 'bool'],
    [null, 'void'],
  ] as const) {
    sentences.prove(`a consumer with x-priority = ${shown(value)} is refused`, async (stage) => {
      const { client, queue } = await scene(stage)
      client.send(1, 'basic.consume', { queue, arguments: { 'x-priority': value } })
      const says = `invalid arg 'x-priority' for queue '${queue}' in vhost '/': ${notInteger(type)}`
      await client.expectChannelClose(1, 406, `PRECONDITION_FAILED - ${says}`)
      assert.deepEqual(await counts(client, queue), [0, 0])
    })
  }

  sentences.prove('a consumer with an x-consumer-timeout that is none is refused', async (stage) => {
    const { client, queue } = await scene(stage, {}, 'quorum')
    for (const [value, says] of [
      ['1h', notInteger('longstr')],
      [int(-1), '{value_negative,-1}'],
    ] as const) {
      client.send(1, 'basic.consume', { queue, arguments: { 'x-consumer-timeout': value } })
      const text = `invalid arg 'x-consumer-timeout' for queue '${queue}' in vhost '/': ${says}`
      await client.expectChannelClose(1, 406, `PRECONDITION_FAILED - ${text}`)
      await client.call(1, 'channel.open')
    }
  })

  sentences.prove('unknown arguments of a consumer are no error', async (stage) => {
    const { client, queue } = await scene(stage)
    await client.call(1, 'basic.consume', { queue, arguments: { 'x-mine': 1.5, other: [null] } })
  })
}

/** More about expiration, CC and user-id stands in `routing-extras.ts`. */
function publishedProperties(sentences: Sentences): void {
  sentences.prove('a message with an expiration of more digits than any number has is refused', async (stage) => {
    const { client } = await scene(stage)
    const expiration = '9'.repeat(100)
    client.publish(1, { routingKey: 'q', properties: { expiration } })
    const text = new RegExp(`^PRECONDITION_FAILED - invalid expiration '${expiration}': \\{value_too_large,`)
    await client.expectChannelClose(1, 406, text)
  })

  sentences.prove('a message may have any delivery-mode and priority an octet can hold', async (stage) => {
    const { client, queue } = await scene(stage)
    for (const octet of [0, 3, 255]) {
      await publishTo(client, queue, { body: 'a', properties: { deliveryMode: octet, priority: octet } })
      const got = await client.get(1, queue)
      assert.deepEqual(got?.properties, { deliveryMode: octet, priority: octet })
    }
  })
}

function keys(sentences: Sentences): void {
  sentences.prove('a binding key may have two #, not more', async (stage) => {
    const { client, queue } = await scene(stage)
    const bind = (routingKey: string): Args => ({ queue, exchange: 'amq.topic', routingKey })
    await client.call(1, 'queue.bind', bind('#.a.#'))
    for (const hashes of [3, 127]) {
      const key = Array(hashes).fill('#').join('.')
      client.send(1, 'queue.bind', bind(key))
      const text = `PRECONDITION_FAILED - Topic binding key '${key}' uses ${hashes} '#' wildcards, at most 2 are allowed`
      await client.expectChannelClose(1, 406, text.slice(0, 255))
      await client.call(1, 'channel.open')
    }
    await client.call(1, 'queue.unbind', bind('#.#.#.#'))
  })

  sentences.prove('a thousand binding keys with two # and a key of 127 words cost nobody much', async (stage) => {
    const { client, queue } = await scene(stage)
    const exchange = stage.name('x')
    await client.call(1, 'exchange.declare', { exchange, type: 'topic', autoDelete: true })
    for (let i = 0; i < 1_000; i += 1) {
      client.send(1, 'queue.bind', { queue, exchange, routingKey: `#.a.*.#.${i}`, noWait: true })
    }
    const routingKey = Array(120).fill('a').join('.')
    for (let i = 0; i < 20; i += 1) client.publish(1, { exchange, routingKey: `${routingKey}.${i}`, body: String(i) })
    await worked(client)
    assert.deepEqual(
      await take(client, queue),
      Array.from({ length: 20 }, (_, i) => String(i)),
    )
  })

  sentences.prove('a routing key of 255 octets is a key like any other', async (stage) => {
    const { client, queue } = await scene(stage)
    const routingKey = 'k'.repeat(255)
    await client.call(1, 'queue.bind', { queue, exchange: 'amq.direct', routingKey })
    await publishTo(client, queue, { exchange: 'amq.direct', routingKey, body: 'a' })
    assert.equal((await client.get(1, queue))?.args['routingKey'], routingKey)
  })
}
