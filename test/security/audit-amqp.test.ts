/** Who declared, bound, purged and deleted what by AMQP, and from where, is written down. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import amqplib from 'amqplib'
import { ManualClock } from '../../src/base/clock.ts'
import { type LogFields, silentLogger } from '../../src/base/logger.ts'
import type { Channel } from '../../src/server/channel.ts'
import { auditLinesPerSecondMax, TopologyAudit } from '../../src/server/topology-audit.ts'
import { rejection } from '../support/eventually.ts'
import { NodeInProcess } from '../support/node-in-process.ts'

type Changes = 'none' | 'changes' | 'all'

/** What the audit says of a client that makes, repeats and takes away; without what is the same in all lines. */
async function audited(auditedChanges: Changes): Promise<unknown[]> {
  const node = await NodeInProcess.start({ auditedChanges })
  try {
    const connection = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
    connection.on('error', () => {})
    const channel = await connection.createChannel()
    channel.on('error', () => {})
    for (let repeated = 0; repeated < 2; repeated++) {
      await channel.assertExchange('events', 'topic')
      await channel.assertQueue('orders')
      await channel.bindQueue('orders', 'events', 'order.#')
    }
    await channel.checkQueue('orders')
    const { queue } = await channel.assertQueue('', { exclusive: true })
    channel.sendToQueue('orders', Buffer.from('canary'))
    await channel.purgeQueue('orders')
    await channel.unbindQueue('orders', 'events', 'order.#')
    await channel.deleteQueue('orders')
    await channel.deleteExchange('events')
    await rejection(channel.assertQueue('amq.mine'))
    assert.ok(queue.startsWith('amq.gen-'))
    await connection.close()
    const lines = node.log.filter(({ part, message }) => part === 'audit' && message === 'change')
    return lines.map(({ fields, level }) => {
      const { by, address, via, vhost, connection: name, ...rest } = fields
      assert.deepEqual([by, address, via, vhost, level], ['anna', '127.0.0.1', 'amqp', '/', 'info'])
      assert.match(String(name), /^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/)
      return Object.values(rest).join(' ')
    })
  } finally {
    await node.stop()
  }
}

const made = [
  'events topic exchange.declare done',
  'orders queue.declare done',
  'orders events order.# queue.bind done',
]
const ended = [
  'orders queue.purge done',
  'orders events order.# queue.unbind done',
  'orders queue.delete done',
  'events exchange.delete done',
  "amq.mine queue.declare queue name 'amq.mine' contains reserved prefix 'amq.*'",
]

describe('Changes by AMQP', () => {
  it('are written down once, with what was refused', async () => {
    assert.deepEqual(await audited('changes'), [...made, ...ended])
  })

  it('are all written down where that is asked for', async () => {
    assert.deepEqual(await audited('all'), [...made, ...made, ' queue.declare done', ...ended])
  })

  it('are not written down where that is asked for', async () => {
    assert.deepEqual(await audited('none'), [])
  })

  it('are bounded in a second; how many were left out is told', () => {
    const clock = new ManualClock()
    const lines: [string, LogFields][] = []
    const note = (fields: LogFields, message: string): void => void lines.push([message, fields])
    const audit = new TopologyAudit({ clock, level: 'all', logger: { ...silentLogger, info: note, warn: note } })
    const channel = {
      vhost: { name: '/' },
      connection: { principal: { username: 'anna' }, remoteAddress: '192.0.2.1', name: 'a -> b' },
    } as Channel
    const method = { id: 0, name: 'queue.delete', queue: 'q', ifUnused: false, ifEmpty: false, noWait: false } as never
    const change = (): void => audit.around<number>(channel, method, { use: () => {} }, () => true).use(0, 0)
    for (let index = 0; index < auditLinesPerSecondMax + 3; index++) change()
    assert.equal(lines.length, auditLinesPerSecondMax)
    clock.advance(1_000)
    assert.deepEqual(lines.at(-1), ['changes were not written down', { leftOut: 3, via: 'amqp' }])
    change()
    assert.equal(lines.at(-1)?.[0], 'change')
  })
})
