/** Records about publishes of other nodes, as earlier versions wrote them; `docs/formats/shard-records.md` draws them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Origins } from '../../src/broker/shard/origins.ts'
import { ReadTraits } from '../../src/broker/shard/record-traits.ts'
import { projectRoot } from '../support/project-root.ts'

const saved = JSON.parse(
  readFileSync(join(projectRoot, 'test', 'formats', 'shard-records-forwarded.json'), 'utf8'),
) as Record<'origins' | 'traits', string>

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
})
