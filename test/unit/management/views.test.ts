/** What lists are sorted by, and columns, are made without most of the JSON: they have to be what stands there, whatever the path. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fieldTable } from '../../../src/amqp/field-table.ts'
import type { OpenChannel, OpenConnection } from '../../../src/broker/connection-directory.ts'
import { isObject } from '../../../src/broker/definitions/entry.ts'
import type { Consumer } from '../../../src/broker/ports.ts'
import { MessageCounts } from '../../../src/broker/statistics/message-counts.ts'
import type { DeclaredQueue } from '../../../src/broker/topology/declared-queue.ts'
import { valueAt } from '../../../src/management/api/columns.ts'
import { compared } from '../../../src/management/api/sorting.ts'
import { ApiHarness } from './api-harness.ts'
import { connectionOf } from './noted-connection.ts'

/** No two things have the same value, and none has those of its neighbour plus one. */
const mixed = (index: number): number => (index * 7) % 11

describe('what lists are sorted by, and show of each thing', () => {
  it('is what their JSON says, for each path in it, both ways', async () => {
    const api = await ApiHarness.open()
    await declareThings(api)
    const queues = [...(api.broker.topology.vhosts.get('/')?.queues.values() ?? [])]
    queues.forEach((queue, index) => {
      api.broker.shards.statuses.set(queue.id, { ready: mixed(index), unacked: index % 3, consumers: index % 4 })
      if (index > 2) queue.counts = countsOf(index)
      api.connections.push(connection(queue, index))
    })
    for (const { counts } of api.broker.topology.vhosts.get('/')?.exchanges.values() ?? []) {
      counts.publishIn = mixed(counts.publishIn + queues.length)
    }
    await api.sampler.look()
    api.broker.clock.advance(5_000)
    for (const { counts } of queues) if (counts !== null) counts.publish += mixed(counts.publish)
    await api.sampler.look()
    for (const path of ['queues', 'exchanges', 'bindings', 'connections', 'channels', 'consumers']) {
      const whole = (await api.json('GET', `/api/${path}`)) as Record<string, unknown>[]
      assert(whole.length > 5, path)
      for (const column of [...new Set(whole.flatMap((json) => pathsIn(json)))]) {
        if (path === 'bindings' && column === 'name') continue
        const names = column.split('.')
        const only = await api.json('GET', `/api/${path}?columns=${column}`)
        assert.deepEqual(
          only,
          whole.map((json) => onlyAt(json, names)),
          `${path} with ${column}`,
        )
        const inOrder = (isReversed: boolean): unknown[] => {
          const order = [...whole].sort((a, b) => compared(valueAt(a, names) ?? null, valueAt(b, names) ?? null))
          return isReversed ? stablyReversed(whole, names) : order
        }
        for (const isReversed of [false, true]) {
          const sorted = await api.json('GET', `/api/${path}?sort=${column}&sort_reverse=${isReversed}`)
          assert.deepEqual(sorted, inOrder(isReversed), `${path} by ${column}`)
        }
      }
    }
  })
})

/** What stands at a path, in objects with nothing else. */
function onlyAt(json: object, [first = '', ...rest]: readonly string[]): object {
  if (!Object.hasOwn(json, first)) return {}
  const value: unknown = Reflect.get(json, first)
  return { [first]: rest.length === 0 || !isObject(value) ? value : onlyAt(value, rest) }
}

function stablyReversed(whole: readonly Record<string, unknown>[], names: readonly string[]): unknown[] {
  return [...whole].sort((a, b) => compared(valueAt(b, names) ?? null, valueAt(a, names) ?? null))
}

/** All paths that lead somewhere, those of objects too. */
function pathsIn(json: object, before = ''): string[] {
  return Object.entries(json).flatMap(([name, value]) => {
    const path = `${before}${name}`
    return isObject(value) ? [path, ...pathsIn(value, `${path}.`)] : [path]
  })
}

async function declareThings(api: ApiHarness): Promise<void> {
  for (let index = 0; index < 9; index++) {
    const name = `queue-${mixed(index)}`
    await api.json('PUT', `/api/queues/%2F/${name}`, {
      durable: index % 2 === 0,
      auto_delete: index % 3 === 0,
      arguments: index % 2 === 0 ? { 'x-max-length': mixed(index) } : {},
    })
    const types = ['direct', 'topic', 'fanout']
    const exchange = { type: types[index % 3], durable: index % 2 === 0, internal: index % 4 === 0 }
    await api.json('PUT', `/api/exchanges/%2F/exchange-${mixed(index)}`, exchange)
    const path = `/api/bindings/%2F/e/exchange-${mixed(index)}`
    await api.json('POST', `${path}/q/${name}`, { routing_key: `key-${(index * 5) % 9}` })
    if (index > 0) await api.json('POST', `${path}/e/exchange-${mixed(index - 1)}`, { routing_key: `key-${index}` })
  }
  const policy = { pattern: '[3-6]$', 'apply-to': 'queues', definition: { 'max-length': 5 } }
  await api.json('PUT', '/api/policies/%2F/short', policy)
}

function connection(queue: DeclaredQueue, index: number): OpenConnection {
  const number = mixed(index)
  return {
    ...connectionOf(`user-${number}`, []),
    name: `10.0.0.${number}:${index} -> here`,
    peer: { address: `10.0.0.${number}`, port: 5_000 + number },
    local: { address: `10.0.1.${number}`, port: 6_000 + number },
    connectedAt: 1_000 - number,
    state: index % 2 === 0 ? 'running' : 'blocked',
    mechanism: index % 2 === 0 ? 'PLAIN' : 'EXTERNAL',
    clientProperties: fieldTable(new Map([['connection_name', { tag: 'S', value: `client-${number}` }]])),
    bytesRead: 10 * number,
    bytesWritten: 20 * number,
    bytesWaiting: 30 * number,
    channelCount: 1 + number,
    channelsMax: 100 + number,
    frameBytesMax: 4_096 + number,
    heartbeatSeconds: number,
    channels: () => [channel(queue, index)],
  }
}

function channel(queue: DeclaredQueue, index: number): OpenChannel {
  const number = mixed(index)
  return {
    number: number + 1,
    prefetchCount: number,
    sharedPrefetchCount: 2 * number,
    unacked: 3 * number,
    unconfirmed: 4 * number,
    isConfirming: index % 2 === 0,
    isTransactional: index % 3 === 0,
    state: index % 4 === 0 ? 'closing' : 'running',
    consumers: [consumer(queue, index)],
    consumerCount: 5 * number,
    counts: index > 2 ? countsOf(index) : new MessageCounts(),
  }
}

function consumer({ queue }: DeclaredQueue, index: number): Consumer {
  const seen = { isNoAck: index % 2 === 0, isExclusive: index % 3 === 0, isActive: index % 4 === 0 }
  const told = { tag: `consumer-${mixed(index)}`, limit: mixed(index), arguments: fieldTable(new Map()) }
  return { ...told, ...seen, queue } as unknown as Consumer
}

function countsOf(index: number): MessageCounts {
  const counts = new MessageCounts()
  const number = mixed(index)
  Object.assign(counts, {
    publish: number,
    confirm: 2 * number,
    deliver: 3 + number,
    ack: 4 * number,
    getEmpty: number,
  })
  return counts
}
