/** Definitions as code against what a broker has, by AMQP alone; with WARREN_TEST_URL against RabbitMQ. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { apply, bindingOf, plan } from '../../src/client/index.ts'
import { name, open, warrenError } from './stage.ts'

describe('a plan', () => {
  it('tells what is missing, and changes nothing', async () => {
    const client = await open()
    const events = client.topic(name('events'))
    const queue = events.queue(name('orders'), { bindingKeys: ['order.*'] })
    const found = await plan(client, [queue])
    assert.equal(
      String(found),
      [
        `+ queue '${queue.name}'`,
        `+ exchange '${events.name}'`,
        `+ binding '${events.name}' → queue '${queue.name}' by 'order.*'`,
        '3 to create, 0 same, 0 different, 0 unknown',
      ].join('\n'),
    )
    assert.equal(found.isDone, false)
    assert.equal((await warrenError(client.queue(queue.name, { declare: false }).info())).replyCode, 404)
  })

  it('is done when all of it has been applied, but for bindings, which AMQP does not tell', async () => {
    const client = await open()
    const events = client.topic(name('events'))
    const queue = events.queue(name('orders'), { maxLength: 10, deadLetter: name('dead') })
    assert.deepEqual(states(await apply(client, [queue])), ['create', 'create', 'create', 'create'])
    const again = await plan(await open(), [queue])
    assert.deepEqual(states(again), ['same', 'same', 'same', 'unknown'])
    assert.equal(again.isDone, true)
    await events.send('anything', { id: 1 })
    assert.deepEqual((await queue.get())?.body, { id: 1 })
    await queue.delete()
    await events.delete()
  })

  it('finds every difference of a queue, one behind the other', async () => {
    const client = await open()
    const queueName = name('orders')
    const old = client.queue(queueName, { durable: false, maxLength: 5, overflow: 'reject-publish', ttl: 1_000 })
    await old.declare()
    const wanted = (await open()).queue(queueName, { maxLength: 10, ttl: 1_000, maxPriority: 3 })
    const [item] = (await plan(client, [wanted])).items
    assert.ok(item?.state === 'differs')
    assert.deepEqual(
      [...item.differences].sort((one, other) => one.name.localeCompare(other.name)),
      [
        { name: 'durable', current: 'false', wanted: 'true' },
        { name: 'x-max-length', current: '5', wanted: '10' },
        { name: 'x-max-priority', current: null, wanted: '3' },
        { name: 'x-overflow', current: 'reject-publish', wanted: null },
      ],
    )
    await old.delete()
  })

  it('tells of an exchange that its type differs', async () => {
    const client = await open()
    const exchangeName = name('events')
    const old = client.exchange(exchangeName, { type: 'direct' })
    await old.declare()
    const wanted = client.topic(exchangeName)
    const found = await plan(client, [wanted])
    assert.match(String(found), /^~ exchange '.*events': type is direct, wanted topic\n/)
    const error = await warrenError(apply(client, [wanted], { replace: 'empty' }))
    assert.equal(error.code, 'TOPOLOGY_DIFFERS')
    assert.match(error.message, /type is direct, wanted topic.*delete the exchange yourself/)
    await old.delete()
  })

  it('does not look into a queue that is exclusive to another connection', async () => {
    const owner = await open()
    const queue = owner.queue(name('mine'), { exclusive: true })
    await queue.declare()
    const found = await plan(await open(), [queue])
    assert.deepEqual(states(found), ['unknown'])
    assert.match(String(found), /405/)
  })

  it('takes two definitions of one thing for a mistake when they differ', async () => {
    const client = await open()
    const queueName = name('twice')
    const twice = [client.queue(queueName), client.queue(queueName, { maxLength: 1 })]
    const error = await warrenError(plan(client, twice))
    assert.equal(error.code, 'BAD_OPTION')
    assert.ok(error.message.includes(queueName))
    assert.equal((await plan(client, [client.queue(queueName), client.queue(queueName)])).items.length, 1)
  })
})

describe('applying a plan', () => {
  it('refuses a queue that differs before it has changed anything', async () => {
    const client = await open()
    const [oldName, newName] = [name('old'), name('new')]
    await client.queue(oldName, { maxLength: 5 }).declare()
    const error = await warrenError(apply(client, [client.queue(newName), client.queue(oldName)]))
    assert.equal(error.code, 'TOPOLOGY_DIFFERS')
    assert.match(error.message, /x-max-length is 5, wanted not set.*replace: 'empty'/)
    assert.equal((await warrenError(client.queue(newName, { declare: false }).info())).replyCode, 404)
    await client.queue(oldName, { declare: false }).delete()
  })

  it('replaces a queue that is empty and unused, with its bindings', async () => {
    const client = await open()
    const events = client.topic(name('events'))
    const queueName = name('orders')
    await events.queue(queueName, { maxLength: 5 }).declare()
    const wanted = events.queue(queueName, { maxLength: 10 })
    await apply(client, [wanted], { replace: 'empty' })
    assert.deepEqual(states(await plan(client, [wanted])), ['same', 'same', 'unknown'])
    await events.send('anything', { id: 1 })
    assert.deepEqual((await wanted.get())?.body, { id: 1 })
    await wanted.delete()
    await events.delete()
  })

  it('keeps a queue that holds a message or has a consumer, and says so', async () => {
    const client = await open()
    const old = client.queue(name('orders'), { maxLength: 5 })
    await old.send({ id: 1 })
    const wanted = client.queue(old.name)
    const full = await warrenError(apply(client, [wanted], { replace: 'empty' }))
    assert.match(full.message, /cannot be replaced: it holds 1 messages/)
    const consumer = await old.consume(() => undefined)
    await old.purge()
    while ((await old.info()).messageCount > 0) await old.purge()
    const used = await warrenError(apply(client, [wanted], { replace: 'empty' }))
    assert.match(used.message, /cannot be replaced: it has 1 consumers/)
    await consumer.stop()
    await old.delete()
  })

  it('declares again what somebody has deleted since', async () => {
    const client = await open()
    const queue = client.queue(name('orders'))
    await apply(client, [queue])
    await (await open()).queue(queue.name, { declare: false }).delete()
    await apply(client, [queue])
    assert.equal((await queue.info()).messageCount, 0)
    await queue.delete()
  })

  it('binds exchanges to exchanges', async () => {
    const client = await open()
    const [all, some] = [client.exchange(name('all'), { type: 'fanout' }), client.topic(name('some'))]
    const queue = some.queue(name('orders'), { bindingKeys: ['order.#'] })
    const binding = bindingOf('exchange', { source: all.name, destination: some.name })
    await apply(client, [all, queue, binding])
    await all.send('order.new', { id: 1 })
    assert.deepEqual((await queue.get())?.body, { id: 1 })
    for (const one of [queue, all, some]) await one.delete()
  })
})

function states(found: { readonly items: readonly { readonly state: string }[] }): string[] {
  return found.items.map(({ state }) => state)
}
