import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { ManualClock, SystemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { ThreadedPasswordVerifier } from '../../../src/broker/access/password-hash.ts'
import { Broker } from '../../../src/broker/broker.ts'
import { DefinitionsError, type JsonObject } from '../../../src/broker/definitions/entry.ts'
import { parseDefinitions } from '../../../src/broker/definitions/import-definitions.ts'
import { BrokerHarness, routed } from '../../support/broker-harness.ts'
import { durableDump } from '../../support/topology-dump.ts'

const names = { rabbitVersion: '4.1.0', productVersion: '0.1.0' }

function rabbitHash(algorithm: string, password: string): string {
  const salt = Buffer.from([0x90, 0x8d, 0xc6, 0x0a])
  return Buffer.concat([salt, createHash(algorithm).update(salt).update(password).digest()]).toString('base64')
}

/** As RabbitMQ 3.10 writes it, with something of everything. */
function rabbitsDefinitions(): Record<string, unknown> {
  return {
    rabbit_version: '3.10.8',
    rabbitmq_version: '3.10.8',
    product_name: 'RabbitMQ',
    product_version: '3.10.8',
    users: [
      {
        name: 'shop',
        password_hash: rabbitHash('sha256', 'secret'),
        hashing_algorithm: 'rabbit_password_hashing_sha256',
        tags: ['monitoring'],
        limits: { 'max-channels': 7 },
      },
      { name: 'nobody', password_hash: '', hashing_algorithm: 'rabbit_password_hashing_sha256', tags: [], limits: {} },
    ],
    vhosts: [
      { name: '/', metadata: { description: 'Default virtual host', tags: [] }, limits: [] },
      { name: 'shop', metadata: { description: 'orders', tags: ['a'], default_queue_type: 'quorum' } },
    ],
    permissions: [{ user: 'shop', vhost: 'shop', configure: '^o', write: '.*', read: '' }],
    topic_permissions: [{ user: 'shop', vhost: 'shop', exchange: 'amq.topic', write: '^w', read: '^r' }],
    parameters: [
      {
        vhost: 'shop',
        component: 'operator_policy',
        name: 'cap',
        value: { 'apply-to': 'queues', definition: { 'max-length': 50 }, pattern: '.*', priority: 2 },
      },
      { vhost: 'shop', component: 'vhost-limits', name: 'limits', value: { 'max-queues': 10 } },
    ],
    global_parameters: [
      { name: 'cluster_name', value: 'rabbit@box' },
      { name: 'internal_cluster_id', value: 'rabbitmq-cluster-id-8B3NWUZMJxxhzWutr03cTA' },
      { name: 'cluster_tags', value: [] },
      { name: 'mqtt_port_to_vhost_mapping', value: { 1883: 'shop', arguments: { deep: [1, 1.5, null, true, {}] } } },
    ],
    policies: [
      {
        vhost: 'shop',
        name: 'ttl',
        pattern: '^orders',
        'apply-to': 'queues',
        definition: { 'message-ttl': 60000, 'dead-letter-exchange': 'dead' },
        priority: 1,
      },
    ],
    queues: [
      {
        name: 'orders',
        vhost: 'shop',
        durable: true,
        auto_delete: false,
        arguments: { 'x-queue-type': 'classic', 'x-max-length': 100, 'x-note': { deep: [1, 1.5, null, true] } },
      },
    ],
    exchanges: [
      {
        name: 'events',
        vhost: 'shop',
        type: 'topic',
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: { 'alternate-exchange': 'amq.fanout' },
      },
    ],
    bindings: [
      {
        source: 'events',
        vhost: 'shop',
        destination: 'orders',
        destination_type: 'queue',
        routing_key: 'order.#',
        arguments: {},
      },
      {
        source: 'amq.fanout',
        vhost: 'shop',
        destination: 'events',
        destination_type: 'exchange',
        routing_key: '',
        arguments: {},
      },
    ],
  }
}

async function importing(
  document: unknown,
  vhost?: string,
): Promise<{ harness: BrokerHarness; warnings: readonly string[] }> {
  const harness = await BrokerHarness.open()
  const { warnings } = await harness.broker.importDefinitions(document, vhost)
  return { harness, warnings }
}

describe('RabbitMQ’s definitions', () => {
  it('are made with all that is in them', async () => {
    const { harness, warnings } = await importing(rabbitsDefinitions())
    assert.deepEqual(warnings, [])
    const vhost = harness.topology.vhosts.get('shop')
    assert.deepEqual(vhost?.metadata?.defaultQueueType, 'quorum')
    assert.equal(vhost?.limits?.maxQueues, 10)
    assert.equal(vhost?.permissions.get('shop')?.configure.text, '^o')
    assert.equal(harness.topology.users.get('shop')?.limits?.maxChannels, 7)
    const orders = vhost?.queues.get('orders')
    const { maxLength, messageTtlMs, deadLetterExchange } = orders?.settings ?? {}
    assert.deepEqual([maxLength, messageTtlMs, deadLetterExchange], [50, 60_000, 'dead'])
    assert.deepEqual(orders?.arguments.fields.get('x-max-length'), { tag: 'l', value: 100 })
    await harness.broker.putPermission('guest', 'shop', { configure: '.*', write: '.*', read: '.*' })
    assert.deepEqual(routed(harness.session('guest', 'shop'), 'events', 'order.7'), ['orders'])
    assert.deepEqual(routed(harness.session('guest', 'shop'), 'amq.fanout', 'order.7'), ['orders'])
    assert.equal(harness.topology.clusterName, 'rabbit@box')
  })

  it('change nothing when they are made again, and are written no second time', async () => {
    const { harness } = await importing(rabbitsDefinitions())
    const { recordCount } = harness.log
    const dump = durableDump(harness.topology)
    const { warnings } = await harness.broker.importDefinitions(rabbitsDefinitions())
    assert.deepEqual(warnings, [])
    assert.deepEqual(durableDump(harness.topology), dump)
    assert.equal(harness.log.recordCount, recordCount)
  })

  it('come back as they are written here, into another node and in the same words', async () => {
    const { harness } = await importing(rabbitsDefinitions())
    const exported = await harness.broker.exportDefinitions(names)
    assert.deepEqual(exported['global_parameters'], rabbitsDefinitions()['global_parameters'])
    const other = await importing(JSON.parse(JSON.stringify(exported)))
    assert.deepEqual(other.warnings, [])
    assert.deepEqual(await other.harness.broker.exportDefinitions(names), exported)
  })

  it('keep what is there in another form, and say so', async () => {
    const harness = await BrokerHarness.open()
    const queue = (ttl: number): JsonObject => ({
      queues: [{ name: 'q', vhost: '/', durable: true, auto_delete: false, arguments: { 'x-message-ttl': ttl } }],
      exchanges: [{ name: 'x', vhost: '/', type: ttl === 1 ? 'fanout' : 'topic', durable: true, auto_delete: false }],
    })
    await harness.broker.importDefinitions(queue(1))
    const { warnings } = await harness.broker.importDefinitions(queue(2))
    assert.deepEqual(warnings, [
      "exchanges[0] ('x') is there in another form and was kept: inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is 'fanout'",
      "queues[0] ('q') is there in another form and was kept: inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '2' but current is '1'",
    ])
    assert.equal(harness.topology.vhosts.get('/')?.queues.get('q')?.settings.messageTtlMs, 1)
  })

  it('of one vhost go into the vhost that is named', async () => {
    const { harness } = await importing(rabbitsDefinitions())
    const one = await harness.broker.exportDefinitions(names, 'shop')
    assert.equal('users' in one, false)
    await harness.broker.createVhost('copy')
    await harness.broker.importDefinitions(JSON.parse(JSON.stringify(one)), 'copy')
    const [shop, copy] = ['shop', 'copy'].map((name) => harness.topology.vhosts.get(name))
    assert.deepEqual([...(copy?.queues.keys() ?? [])], ['orders'])
    assert.deepEqual(copy?.queues.get('orders')?.settings, shop?.queues.get('orders')?.settings)
    assert.equal(copy?.bindingCount, 2)
    assert.equal(copy?.limits?.maxQueues, 10)
  })

  it('leave out what there is not here, by name', async () => {
    const { warnings, harness } = await importing({
      parameters: [{ vhost: '/', component: 'shovel', name: 's', value: {} }],
      policies: [
        { vhost: '/', name: 'ha', pattern: '', definition: { 'ha-mode': 'all' } },
        { vhost: '/', name: 'mixed', pattern: '', definition: { 'ha-mode': 'all', expires: 5 } },
      ],
      queues: [{ name: 'amq.gen-x', vhost: '/', durable: true, auto_delete: false, arguments: {} }],
      exchanges: [{ name: 'amq.topic', vhost: '/', type: 'topic' }],
      bindings: [{ source: '', vhost: '/', destination: 'q', destination_type: 'queue', routing_key: 'q' }],
      poems: [],
    })
    assert.deepEqual(warnings, [
      'poems is not known and left out',
      "policies[0] ('ha') is left out: ha-mode mean nothing here",
      "policies[1] ('mixed'): ha-mode mean nothing here and are left out",
      "parameters[0] ('s') is left out: there is no shovel here",
      "exchanges[0] ('amq.topic') is left out: what begins with 'amq.' is not made by a file",
      "queues[0] ('amq.gen-x') is left out: what begins with 'amq.' is not made by a file",
    ])
    assert.deepEqual(
      harness.broker.listPolicies('/').map(({ name, definition }) => [name, definition]),
      [['mixed', { expires: 5 }]],
    )
  })

  it('take the type of a queue from beside its arguments', async () => {
    const queue = { name: 's', vhost: '/', durable: true, auto_delete: false, type: 'stream', arguments: {} }
    const { harness } = await importing({ queues: [queue] })
    const made = harness.topology.vhosts.get('/')?.queues.get('s')
    assert.equal(made?.arguments.fields.get('x-queue-type')?.value, 'stream')
  })

  it('do not hold up the others: each entry may be the last of its slice', async () => {
    const harness = await BrokerHarness.open()
    const queues = Array.from({ length: 300 }, (_, index) => ({ name: `q${index}`, vhost: '/', durable: true }))
    let turns = 0
    const importing = harness.broker.importDefinitions({ queues })
    harness.topology.runQueue.add({ run: () => ++turns < 3 })
    await importing
    assert.equal(harness.topology.vhosts.get('/')?.queues.size, 300)
  })
})

describe('definitions are refused', () => {
  const refused: [document: unknown, sentence: string][] = [
    [[], 'the definitions are no object'],
    [{ queues: {} }, 'queues is no list'],
    [{ queues: ['q'] }, 'queues[0] is no object'],
    [{ queues: [{ vhost: '/' }] }, 'queues[0]: name has to be a text'],
    [{ queues: [{ name: 'q', durable: 'perhaps' }] }, "queues[0] ('q'): durable has to be true or false"],
    [{ queues: [{ name: 'q', arguments: 5 }] }, "queues[0] ('q'): arguments has to be an object"],
    [{ queues: [{ name: 'q', vhost: 'v' }] }, "queues[0] ('q'): no vhost 'v'"],
    [
      { queues: [{ name: 'ok' }, { name: 'q', arguments: { 'x-expires': 0 } }] },
      "queues[1] ('q'): invalid arg 'x-expires' for queue 'q' in vhost '/': {value_zero,0}",
    ],
    [{ exchanges: [{ name: 'x', type: 'post' }] }, "exchanges[0] ('x'): unknown exchange type 'post'"],
    [
      { bindings: [{ source: 'x', destination: 'q', destination_type: 'queue' }] },
      "bindings[0] ('x'): no exchange 'x' in vhost '/'",
    ],
    [
      { policies: [{ name: 'p', pattern: '', definition: { expires: 0 } }] },
      "policies[0] ('p'): Validation failed: 0 is not a valid queue expiry",
    ],
    [
      { global_parameters: [{ name: 'g' }] },
      "global_parameters[0] ('g'): Validation failed: global parameter 'g': its value is missing",
    ],
    [{ global_parameters: [{ value: 1 }] }, 'global_parameters[0]: name has to be a text'],
    [{ permissions: [{ user: 'u', configure: '', write: '', read: '' }] }, "permissions[0] ('u'): no user 'u'"],
    [
      { permissions: [{ user: 'guest', configure: '(', write: '', read: '' }] },
      "permissions[0] ('guest'): the configure pattern '(' has a ( without its )",
    ],
    [
      { users: [{ name: 'u', password_hash: 'AAAA', hashing_algorithm: 'rabbit_password_hashing_sha256' }] },
      "users[0] ('u'): password_hash is no hash of rabbit_password_hashing_sha256",
    ],
    [
      { users: [{ name: 'u', password_hash: 'AAAA', hashing_algorithm: 'rot13' }] },
      "users[0] ('u'): hashing_algorithm 'rot13' is not known",
    ],
    [{ users: [{ name: 'u\n' }] }, 'users[0] (\'u\n\'): user name "u\\n" contains control characters'],
    [
      { vhosts: [{ name: 'v', default_queue_type: 'stack' }] },
      "vhosts[0] ('v'): default_queue_type 'stack' is not known",
    ],
  ]
  for (const [document, sentence] of refused) {
    it(JSON.stringify(document).slice(0, 80), async () => {
      const harness = await BrokerHarness.open()
      await assert.rejects(harness.broker.importDefinitions(document), (error) => {
        assert.ok(error instanceof DefinitionsError)
        assert.equal(error.message, sentence)
        return true
      })
    })
  }

  it('before anything is done when an entry is no definition at all', async () => {
    const harness = await BrokerHarness.open()
    const { recordCount } = harness.log
    await assert.rejects(harness.broker.importDefinitions({ vhosts: [{ name: 'v' }], bindings: [{ source: 5 }] }))
    assert.equal(harness.log.recordCount, recordCount)
  })

  it('with arguments nested deeper than the wire allows, and with keys that mean something to JavaScript', async () => {
    const harness = await BrokerHarness.open()
    const deep = JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`) as unknown
    await assert.rejects(
      harness.broker.importDefinitions({ queues: [{ name: 'q', arguments: deep }] }),
      DefinitionsError,
    )
    const hostile = parseDefinitions('{"queues":[{"name":"q","arguments":{"__proto__":{"x-expires":1}}}]}')
    await harness.broker.importDefinitions(hostile)
    assert.equal(harness.topology.vhosts.get('/')?.queues.get('q')?.settings.expiresMs, null)
    assert.throws(() => parseDefinitions('{'), DefinitionsError)
  })
})

describe('an imported user', () => {
  const verifier = new ThreadedPasswordVerifier(new ManualClock())

  async function fits(harness: BrokerHarness, name: string, password: string): Promise<boolean> {
    const stored = harness.topology.users.get(name)?.passwordHash ?? ''
    return await new Promise((resolve) => verifier.verify(stored, password, resolve))
  }

  for (const algorithm of ['sha256', 'sha512', 'md5']) {
    it(`logs in with a password that RabbitMQ keeps by ${algorithm}`, async () => {
      const user = {
        name: 'u',
        password_hash: rabbitHash(algorithm, 'secret'),
        hashing_algorithm: `rabbit_password_hashing_${algorithm}`,
        tags: 'administrator, monitoring',
      }
      const { harness } = await importing({ users: [user] })
      assert.equal(await fits(harness, 'u', 'secret'), true)
      assert.equal(await fits(harness, 'u', 'Secret'), false)
      assert.deepEqual(harness.topology.users.get('u')?.tags, ['administrator', 'monitoring'])
    })
  }

  it('gets a stronger hash with the first login, and logs in with either meanwhile', async () => {
    const user = { name: 'u', password_hash: rabbitHash('sha256', 'secret'), tags: [] }
    const { harness } = await importing({ users: [user] })
    const { topology } = harness
    const broker = new Broker({
      topology,
      clock: new SystemClock(),
      random: new SeededRandom(1),
      logger: silentLogger,
    })
    const login = (password: string): Promise<string | null> =>
      new Promise((resolve) => broker.authenticate('u', password, true, (who) => resolve(who?.username ?? null)))
    const weak = topology.users.get('u')?.passwordHash ?? ''
    assert.equal(await login('wrong'), null)
    assert.equal(topology.users.get('u')?.passwordHash, weak)
    assert.deepEqual(await Promise.all([login('secret'), login('secret')]), ['u', 'u'])
    for (let tries = 0; tries < 2_000 && topology.users.get('u')?.passwordHash === weak; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.match(topology.users.get('u')?.passwordHash ?? '', /^(scrypt|argon2id)\$/)
    assert.equal(await login('secret'), 'u')
    assert.equal(await login('wrong'), null)
    const stronger = topology.users.get('u')?.passwordHash
    await broker.importDefinitions({ users: [user] })
    assert.equal(topology.users.get('u')?.passwordHash, stronger, 'the file still says the same password')
    await broker.importDefinitions({ users: [{ ...user, password_hash: rabbitHash('sha256', 'other') }] })
    assert.equal(await login('secret'), null)
    assert.equal(await login('other'), 'u')
  })

  it('of a time before 3.6 has an MD5 without saying so', async () => {
    const user = { name: 'u', password_hash: rabbitHash('md5', 'old'), tags: '' }
    const { harness } = await importing({ rabbit_version: '3.5.7', users: [user] })
    assert.equal(await fits(harness, 'u', 'old'), true)
  })

  it('may come with a password, which is kept as ours are', async () => {
    const { harness } = await importing({ users: [{ name: 'u', password: 'plain', tags: [] }] })
    assert.match(harness.topology.users.get('u')?.passwordHash ?? '', /^scrypt\$/)
    assert.equal(await fits(harness, 'u', 'plain'), true)
  })

  it('without a password cannot log in, whatever is typed', async () => {
    const { harness } = await importing({
      users: [
        { name: 'u', password_hash: '', tags: [] },
        { name: 'v', password: '' },
      ],
    })
    for (const name of ['u', 'v']) assert.equal(await fits(harness, name, ''), false)
  })

  it('has a scrypt hash under a name of ours, and comes back with it', async () => {
    const { harness } = await importing({ users: [{ name: 'u', password: 'plain', tags: [] }] })
    const exported = await harness.broker.exportDefinitions(names)
    const users = exported['users'] as JsonObject[]
    const user = users.find(({ name }) => name === 'u')
    assert.deepEqual([user?.['password_hash'], user?.['hashing_algorithm']], ['', 'rabbit_password_hashing_sha256'])
    const other = await importing(JSON.parse(JSON.stringify(exported)))
    assert.equal(await fits(other.harness, 'u', 'plain'), true)
  })
})
