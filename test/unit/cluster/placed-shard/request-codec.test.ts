/** What nodes answer one another: what is read is what was written. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteReader } from '../../../../src/amqp/byte-reader.ts'
import { ByteWriter } from '../../../../src/amqp/byte-writer.ts'
import type { BrowsedMessage } from '../../../../src/broker/ports.ts'
import { readBrowsed, writeBrowsed } from '../../../../src/cluster/placed-shard/request-codec.ts'

describe('messages that were looked at', () => {
  it('come as they were sent', () => {
    const facts = { arrivedAt: 1_700_000_000_000, bodyBytes: 2 ** 40, routeBytes: 2, headerBytes: 1 }
    const messages: BrowsedMessage[] = (['ready', 'unacked', 'waiting'] as const).map((state, index) => ({
      ...facts,
      sequence: 2 ** 45 + index,
      state,
      isRedelivered: index === 1,
      dueAt: state === 'waiting' ? 1_700_000_000_001 : 0,
      content: Uint8Array.of(1, 2, 3, index),
      blindKeys: ['a', 'ключ', ''].slice(0, index),
    }))
    const writer = new ByteWriter()
    writeBrowsed(writer, messages)
    const read = readBrowsed(new ByteReader().reset(writer.copy(), 0, writer.length))
    assert.deepEqual(read, messages)
  })
})
