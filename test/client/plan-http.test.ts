/**
 * Plans by RabbitMQ's HTTP API, of a broker in the process; or of the one at WARREN_TEST_URL, whose API is at
 * WARREN_TEST_HTTP_URL.
 */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { apply, bindingOf, type Client, connect, plan } from '../../src/client/index.ts'
import { Broker } from '../../src/index.ts'
import { name, warrenError } from './stage.ts'

const [externalUrl, externalHttp] = [process.env['WARREN_TEST_URL'], process.env['WARREN_TEST_HTTP_URL']]
const broker =
  externalUrl !== undefined && externalHttp !== undefined
    ? null
    : await Broker.start({ storage: 'memory', port: 0, httpPort: 0 })
const http = broker?.httpUrl ?? String(externalHttp)
const url = broker?.url ?? String(externalUrl)
const clients: Client[] = []

after(async () => {
  await Promise.all(clients.map((client) => client.close({ timeoutMs: 1_000 })))
  await broker?.stop()
})

async function open(): Promise<Client> {
  const client = await connect(url)
  clients.push(client)
  return client
}

describe('a plan by HTTP', () => {
  it('tells bindings, by key and arguments', async () => {
    const client = await open()
    const events = client.exchange(name('events'), { type: 'headers' })
    const queue = client.queue(name('orders'))
    const binding = {
      source: events.name,
      destination: queue.name,
      bindingKey: 'a/b',
      arguments: { kind: 'new', n: 1 },
    }
    const defined = [events, queue, bindingOf('queue', binding)]
    assert.deepEqual(states(await apply(client, defined, { http })), ['create', 'create', 'create'])
    assert.deepEqual(states(await plan(client, defined, { http })), ['same', 'same', 'same'])
    const other = bindingOf('queue', { ...binding, arguments: { kind: 'new', n: 2 } })
    assert.deepEqual(states(await plan(client, [...defined, other], { http })), ['same', 'same', 'same', 'create'])
    for (const one of [queue, events]) await one.delete()
  })

  it('tells arguments that a declaration does not compare', async () => {
    const client = await open()
    const queueName = name('orders')
    const old = client.queue(queueName, {
      maxLength: 5,
      arguments: { 'x-owner': 'billing', 'x-queue-type': 'classic' },
    })
    await old.declare()
    const wanted = client.queue(queueName, { maxLength: 10, arguments: { 'x-owner': 'shipping' } })
    const found = await plan(client, [wanted], { http })
    assert.equal(
      String(found),
      [
        `~ queue '${queueName}': x-max-length is 5, wanted 10; x-owner is billing, wanted shipping`,
        '0 to create, 0 same, 1 different, 0 unknown',
      ].join('\n'),
    )
    assert.equal((await warrenError(apply(client, [wanted], { http }))).code, 'TOPOLOGY_DIFFERS')
    await apply(client, [wanted], { http, replace: 'empty' })
    assert.equal((await plan(client, [wanted], { http })).isDone, true)
    await wanted.delete()
  })

  it('tells what differs of an exchange, and which of them is missing', async () => {
    const client = await open()
    const exchangeName = name('events')
    const old = client.exchange(exchangeName, { type: 'direct', durable: false })
    await old.declare()
    const found = await plan(client, [client.topic(exchangeName), client.topic(name('missing'))], { http })
    const [item, missing] = found.items
    assert.equal(missing?.state, 'create')
    assert.ok(item?.state === 'differs')
    assert.deepEqual(item.differences, [
      { name: 'durable', current: 'false', wanted: 'true' },
      { name: 'type', current: 'direct', wanted: 'topic' },
    ])
    await old.delete()
  })

  it('says in one sentence what is wrong with the URL or the login', async () => {
    const client = await open()
    const defined = [client.queue('q')]
    const wrong = await warrenError(plan(client, defined, { http: 'amqp://localhost' }))
    assert.equal(wrong.code, 'BAD_OPTION')
    assert.match(wrong.message, /'amqp:\/\/localhost' is no URL of an HTTP API\. Give one like/)
    const user = await warrenError(plan(client, defined, { http: http.replace(/\/\/(.*@)?/, '//nobody:wrong@') }))
    assert.equal(user.code, 'AUTHENTICATION_REFUSED')
    assert.ok(!user.message.includes('wrong'))
    const nobody = await warrenError(plan(client, defined, { http: 'http://127.0.0.1:1' }))
    assert.equal(nobody.code, 'CONNECT_REFUSED')
  })
})

function states(found: { readonly items: readonly { readonly state: string }[] }): string[] {
  return found.items.map(({ state }) => state)
}
