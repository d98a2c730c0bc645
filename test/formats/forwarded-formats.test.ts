/** Records about publishes of other nodes, as earlier versions wrote them; `docs/formats/shard-records.md` draws them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Message } from '../../src/broker/message.ts'
import { Letters } from '../../src/broker/shard/letters.ts'
import { Origins } from '../../src/broker/shard/origins.ts'
import { ReadTraits } from '../../src/broker/shard/record-traits.ts'
import { senderOf, viewMessage } from '../../src/broker/stream/stream-records.ts'
import { projectRoot } from '../support/project-root.ts'

const saved = JSON.parse(
  readFileSync(join(projectRoot, 'test', 'formats', 'shard-records-forwarded.json'), 'utf8'),
) as Record<'origins' | 'traits' | 'letters' | 'letterTraits' | 'streamMessage', string>

describe('saved records about publishes of other nodes', () => {
  test('8, origins, says what is stored of each', () => {
    const origins = new Origins()
    origins.read(Buffer.from(saved.origins, 'hex'), 0)
    assert.deepEqual(origins.of(3), { highest: 9, gaps: [3, 4, 6, 8] })
    assert.deepEqual(origins.of(1_048_575), { highest: 1, gaps: [] })
  })

  test('the traits of a publish have the number that its node gave it, between source and keys', () => {
    const traits = new ReadTraits()
    const bytes = Buffer.from(saved.traits, 'hex')
    traits.read(bytes, 0, bytes.length)
    assert.deepEqual(traits.origin, { incarnation: 3, number: 281_474_976_710_654 })
    assert.deepEqual(traits.source, { queueId: 4_294_967_297, sequence: 12 })
    assert.deepEqual([traits.priority, traits.group, traits.blindKeys], [7, 'g', ['k']])
  })

  test('9, letters, says which dead letters are in which queue', () => {
    const letters = new Letters()
    letters.read(Buffer.from(saved.letters, 'hex'), 0)
    assert.equal(letters.size, 2)
    assert.ok(letters.has({ queueId: 4_294_967_297, sequence: 12 }, 7))
    assert.ok(letters.has({ queueId: 3, sequence: 281_474_976_710_654 }, 8))
    assert.ok(!letters.has({ queueId: 3, sequence: 281_474_976_710_654 }, 7))
  })

  test('the traits of a dead letter name its source behind the number', () => {
    const traits = new ReadTraits()
    const bytes = Buffer.from(saved.letterTraits, 'hex')
    traits.read(bytes, 0, bytes.length)
    assert.deepEqual(traits.origin, { incarnation: 3, number: 9 })
    assert.deepEqual(traits.letterOf, { queueId: 4_294_967_297, sequence: 12 })
    assert.deepEqual([traits.priority, traits.source, traits.blindKeys], [7, null, ['k']])
  })

  test('4 of a stream, a message that was sent, has its sender before its route', () => {
    const bytes = Buffer.from(saved.streamMessage, 'hex')
    assert.deepEqual(senderOf(bytes, 0), {
      origin: { incarnation: 3, number: 9 },
      letterOf: { queueId: 4_294_967_297, sequence: 12 },
    })
    const message = new Message()
    viewMessage(message, bytes, 0, bytes.length)
    assert.deepEqual([message.routeStart, message.routeEnd, message.bodyBytes], [64, 66, 5])
  })
})
