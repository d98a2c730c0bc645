/** From an exchange to queues: the exchange types, bindings between exchanges, alternate exchanges. */
import assert from 'node:assert/strict'
import type { RawClient } from '../../support/amqp/raw-client.ts'
import { type Table, typed } from '../../support/amqp/wire.ts'
import type { Sentences, Stage } from './sentences.ts'

export function routing(sentences: Sentences): void {
  simpleExchanges(sentences)
  topics(sentences)
  headers(sentences)
  betweenExchanges(sentences)
  alternateExchanges(sentences)
}

/** An exchange of a type, gone with its last binding, and one exclusive queue. */
async function scene(stage: Stage, type: string): Promise<{ client: RawClient; exchange: string; queue: string }> {
  const client = await stage.client()
  const exchange = stage.name(type)
  const queue = stage.name('q')
  await client.call(1, 'exchange.declare', { exchange, type, autoDelete: true })
  await client.call(1, 'queue.declare', { queue, exclusive: true })
  return { client, exchange, queue }
}

function simpleExchanges(sentences: Sentences): void {
  sentences.prove('every queue is reached by its name through the default exchange', async (stage) => {
    const client = await stage.client()
    const queue = stage.name('q')
    await client.call(1, 'queue.declare', { queue, exclusive: true })
    client.publish(1, { routingKey: queue, body: 'x' })
    const got = await client.get(1, queue)
    assert.deepEqual([got?.args['exchange'], got?.args['routingKey']], ['', queue])
  })

  sentences.prove('direct: the key must be equal', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'direct')
    await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'a' })
    await client.call(1, 'queue.bind', { queue, exchange, routingKey: '' })
    for (const routingKey of ['a', 'A', 'a.', 'b', ''])
      client.publish(1, { exchange, routingKey, body: `<${routingKey}>` })
    assert.deepEqual(await client.drain(1, queue), ['<a>', '<>'])
  })

  sentences.prove('fanout: the key does not matter', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'fanout')
    await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'whatever' })
    for (const routingKey of ['a', '']) client.publish(1, { exchange, routingKey, body: `<${routingKey}>` })
    assert.deepEqual(await client.drain(1, queue), ['<a>', '<>'])
  })

  sentences.prove('a message reaches a queue once, however many of its bindings match', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'topic')
    for (const routingKey of ['a.b', 'a.*', '#', '*.b'])
      await client.call(1, 'queue.bind', { queue, exchange, routingKey })
    client.publish(1, { exchange, routingKey: 'a.b', body: 'once' })
    assert.deepEqual(await client.drain(1, queue), ['once'])
  })

  sentences.prove('binding twice is one binding', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'direct')
    for (let i = 0; i < 2; i += 1) await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'a' })
    client.publish(1, { exchange, routingKey: 'a', body: 'once' })
    await client.call(1, 'queue.bind', { queue, exchange, routingKey: 'b' })
    await client.call(1, 'queue.unbind', { queue, exchange, routingKey: 'a' })
    client.publish(1, { exchange, routingKey: 'a', body: 'unbound' })
    assert.deepEqual(await client.drain(1, queue), ['once'])
  })

  sentences.prove('bindings that differ in their arguments are two', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'direct')
    const binding = (n: number) => ({ queue, exchange, routingKey: 'a', arguments: { n: typed('I', n) } })
    await client.call(1, 'queue.bind', binding(1))
    await client.call(1, 'queue.bind', binding(2))
    await client.call(1, 'queue.unbind', binding(1))
    client.publish(1, { exchange, routingKey: 'a', body: 'still bound' })
    assert.deepEqual(await client.drain(1, queue), ['still bound'])
  })

  sentences.prove('several queues get a copy each', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'fanout')
    const other = stage.name('other')
    await client.call(1, 'queue.declare', { queue: other, exclusive: true })
    for (const each of [queue, other]) await client.call(1, 'queue.bind', { queue: each, exchange })
    client.publish(1, { exchange, body: 'both' })
    assert.deepEqual([await client.drain(1, queue), await client.drain(1, other)], [['both'], ['both']])
  })
}

function topics(sentences: Sentences): void {
  const cases: readonly { pattern: string; matches: readonly string[]; misses: readonly string[] }[] = [
    { pattern: 'a.b', matches: ['a.b'], misses: ['a', 'a.b.c', 'a.c', ''] },
    { pattern: '*', matches: ['a'], misses: ['', 'a.b', '.'] },
    { pattern: 'a.*', matches: ['a.b', 'a.'], misses: ['a', 'a.b.c', 'b.a'] },
    { pattern: '*.b', matches: ['a.b', '.b'], misses: ['b', 'a.a.b'] },
    { pattern: '#', matches: ['', 'a', 'a.b', 'a.b.c', '..'], misses: [] },
    { pattern: 'a.#', matches: ['a', 'a.b', 'a.b.c'], misses: ['', 'b', 'ab', 'b.a'] },
    { pattern: '#.b', matches: ['b', 'a.b', 'a.a.b'], misses: ['', 'b.a', 'ab'] },
    { pattern: 'a.#.b', matches: ['a.b', 'a.x.b', 'a.x.y.b'], misses: ['a', 'b', 'a.b.c'] },
    { pattern: '*.#', matches: ['a', 'a.b'], misses: [''] },
    { pattern: '#.*', matches: ['a', 'a.b.c'], misses: [''] },
    { pattern: '', matches: [''], misses: ['a'] },
    { pattern: 'a*', matches: ['a*'], misses: ['ab', 'a'] },
  ]
  for (const { pattern, matches, misses } of cases) {
    sentences.prove(
      `topic: '${pattern}' matches ${matches.map((key) => `'${key}'`).join(', ')} only`,
      async (stage) => {
        const { client, exchange, queue } = await scene(stage, 'topic')
        await client.call(1, 'queue.bind', { queue, exchange, routingKey: pattern })
        for (const routingKey of [...misses, ...matches])
          client.publish(1, { exchange, routingKey, body: `<${routingKey}>` })
        assert.deepEqual(
          await client.drain(1, queue),
          matches.map((key) => `<${key}>`),
        )
      },
    )
  }

  sentences.prove('topic: removing one of two overlapping patterns leaves the other', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'topic')
    for (const routingKey of ['a.#', 'a.*']) await client.call(1, 'queue.bind', { queue, exchange, routingKey })
    await client.call(1, 'queue.unbind', { queue, exchange, routingKey: 'a.#' })
    for (const routingKey of ['a', 'a.b', 'a.b.c']) client.publish(1, { exchange, routingKey, body: routingKey })
    assert.deepEqual(await client.drain(1, queue), ['a.b'])
  })
}

function headers(sentences: Sentences): void {
  const cases: readonly { what: string; binding: Table; matches: readonly Table[]; misses: readonly Table[] }[] = [
    {
      what: 'all is the default, and further headers do not matter',
      binding: { a: 1, b: 'x' },
      matches: [
        { a: 1, b: 'x' },
        { a: 1, b: 'x', c: true },
      ],
      misses: [{}, { a: 1 }, { a: 1, b: 'y' }, { a: 2, b: 'x' }],
    },
    {
      what: 'any needs one',
      binding: { 'x-match': 'any', a: 1, b: 'x' },
      matches: [{ a: 1 }, { b: 'x' }, { a: 2, b: 'x' }],
      misses: [{}, { a: 2 }, { c: 1 }],
    },
    {
      what: 'keys that begin with x- are passed over',
      binding: { 'x-match': 'all', a: 1, 'x-b': 2 },
      matches: [{ a: 1 }, { a: 1, 'x-b': 3 }],
      misses: [{ 'x-b': 2 }],
    },
    {
      what: 'all-with-x looks at keys that begin with x- too',
      binding: { 'x-match': 'all-with-x', a: 1, 'x-b': 2 },
      matches: [{ a: 1, 'x-b': 2 }],
      misses: [{ a: 1 }, { a: 1, 'x-b': 3 }],
    },
    {
      what: 'any-with-x looks at keys that begin with x- too',
      binding: { 'x-match': 'any-with-x', a: 1, 'x-b': 2 },
      matches: [{ 'x-b': 2 }, { a: 1 }],
      misses: [{ 'x-b': 3 }],
    },
    {
      what: 'a void value matches on presence',
      binding: { 'x-match': 'all', a: null },
      matches: [{ a: 1 }, { a: 'x' }, { a: null }],
      misses: [{}, { b: 1 }],
    },
    {
      what: 'no arguments match everything',
      binding: {},
      matches: [{}, { a: 1 }],
      misses: [],
    },
    {
      what: 'numbers of different width are equal',
      binding: { a: typed('I', 5) },
      matches: [{ a: typed('l', 5) }, { a: typed('s', 5) }, { a: typed('b', 5) }],
      misses: [{ a: typed('I', 6) }, { a: '5' }],
    },
  ]
  for (const { what, binding, matches, misses } of cases) {
    sentences.prove(`headers: ${what}`, async (stage) => {
      const { client, exchange, queue } = await scene(stage, 'headers')
      await client.call(1, 'queue.bind', { queue, exchange, arguments: binding })
      misses.forEach((table, index) => {
        client.publish(1, { exchange, body: `miss ${index}`, properties: { headers: table } })
      })
      matches.forEach((table, index) => {
        client.publish(1, { exchange, body: `match ${index}`, properties: { headers: table } })
      })
      assert.deepEqual(
        await client.drain(1, queue),
        matches.map((_, index) => `match ${index}`),
      )
    })
  }

  sentences.prove('headers: an unknown x-match is 406', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'headers')
    client.send(1, 'queue.bind', { queue, exchange, arguments: { 'x-match': 'some' } })
    await client.expectChannelClose(1, 406, /^PRECONDITION_FAILED - /)
  })
}

function betweenExchanges(sentences: Sentences): void {
  sentences.prove('a message goes on from exchange to exchange by the same key', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'topic')
    const inner = stage.name('inner')
    await client.call(1, 'exchange.declare', { exchange: inner, type: 'direct', autoDelete: true, internal: true })
    await client.call(1, 'exchange.bind', { source: exchange, destination: inner, routingKey: '*.b' })
    await client.call(1, 'queue.bind', { queue, exchange: inner, routingKey: 'a.b' })
    for (const routingKey of ['a.b', 'c.b', 'a.c']) client.publish(1, { exchange, routingKey, body: routingKey })
    const got = await client.get(1, queue)
    assert.deepEqual([got?.body.toString(), got?.args['exchange'], got?.args['routingKey']], ['a.b', exchange, 'a.b'])
    assert.equal(await client.get(1, queue), null)
  })

  sentences.prove('exchanges bound in a circle are visited once each', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'fanout')
    const second = stage.name('second')
    await client.call(1, 'exchange.declare', { exchange: second, type: 'fanout', autoDelete: true })
    await client.call(1, 'exchange.bind', { source: exchange, destination: second })
    await client.call(1, 'exchange.bind', { source: second, destination: exchange })
    for (const each of [exchange, second]) await client.call(1, 'queue.bind', { queue, exchange: each })
    client.publish(1, { exchange, body: 'once' })
    assert.deepEqual(await client.drain(1, queue), ['once'])
    await client.call(1, 'exchange.delete', { exchange: second })
  })

  sentences.prove('unbinding exchanges ends the way between them', async (stage) => {
    const { client, exchange, queue } = await scene(stage, 'fanout')
    const source = stage.name('source')
    await client.call(1, 'exchange.declare', { exchange: source, type: 'fanout' })
    await client.call(1, 'queue.bind', { queue, exchange })
    await client.call(1, 'exchange.bind', { source, destination: exchange })
    client.publish(1, { exchange: source, body: 'bound' })
    await client.call(1, 'exchange.unbind', { source, destination: exchange })
    client.publish(1, { exchange: source, body: 'unbound' })
    assert.deepEqual(await client.drain(1, queue), ['bound'])
    await client.call(1, 'exchange.delete', { exchange: source })
  })
}

function alternateExchanges(sentences: Sentences): void {
  sentences.prove('an alternate exchange gets what the exchange routed nowhere, and only that', async (stage) => {
    const { client, exchange: alternate, queue } = await scene(stage, 'fanout')
    const exchange = stage.name('x')
    const bound = stage.name('bound')
    await client.call(1, 'queue.declare', { queue: bound, exclusive: true })
    await client.call(1, 'queue.bind', { queue, exchange: alternate })
    const args = { 'alternate-exchange': alternate }
    await client.call(1, 'exchange.declare', { exchange, type: 'direct', autoDelete: true, arguments: args })
    await client.call(1, 'queue.bind', { queue: bound, exchange, routingKey: 'known' })
    for (const routingKey of ['known', 'unknown']) client.publish(1, { exchange, routingKey, body: routingKey })
    assert.deepEqual([await client.drain(1, bound), await client.drain(1, queue)], [['known'], ['unknown']])
  })

  sentences.prove('mandatory looks at the result after the alternate exchange', async (stage) => {
    const { client, exchange: alternate, queue } = await scene(stage, 'direct')
    const exchange = stage.name('x')
    const args = { 'alternate-exchange': alternate }
    await client.call(1, 'exchange.declare', { exchange, type: 'direct', arguments: args })
    await client.call(1, 'queue.bind', { queue, exchange: alternate, routingKey: 'rescued' })
    client.publish(1, { exchange, routingKey: 'rescued', body: 'rescued', mandatory: true })
    client.publish(1, { exchange, routingKey: 'lost', body: 'lost', mandatory: true })
    const returned = await client.expect(1, 'basic.return')
    assert.equal(returned.body.toString(), 'lost')
    assert.deepEqual([returned.args['exchange'], returned.args['routingKey']], [exchange, 'lost'])
    assert.deepEqual(await client.drain(1, queue), ['rescued'])
    await client.call(1, 'exchange.delete', { exchange })
  })

  sentences.prove('an alternate exchange that is missing is passed over', async (stage) => {
    const client = await stage.client()
    const exchange = stage.name('x')
    const args = { 'alternate-exchange': stage.name('missing') }
    await client.call(1, 'exchange.declare', { exchange, type: 'direct', arguments: args })
    client.publish(1, { exchange, routingKey: 'k', mandatory: true })
    await client.expect(1, 'basic.return')
    await client.call(1, 'exchange.delete', { exchange })
  })
}
