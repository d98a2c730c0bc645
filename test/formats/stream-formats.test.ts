/**
 * A stream's log that an earlier version wrote, kept as files. It must open with everything in it, now and in later
 * versions; `docs/formats/stream-records.md` describes it. Nothing here is ever written again.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { projectRoot } from '../support/project-root.ts'
import { type DiskImage, SimulatedFiles } from '../support/simulated-files.ts'
import { root, StreamHarness } from '../unit/stream/stream-harness.ts'

const folder = join(projectRoot, 'test', 'formats', 'stream-1')
const saved = (): DiskImage =>
  new Map(readdirSync(folder).map((file) => [`${root}/1000/${file}`, readFileSync(join(folder, file))]))

/** 802 messages were published, 50 in a second; those below this offset were dropped with their segments. */
const first = 506
const begun = 1_700_000_000_000
const large = Buffer.alloc(20_000, 'large body ').toString()

async function open(image = saved()): Promise<StreamHarness> {
  const harness = await StreamHarness.start({ files: new SimulatedFiles({ image, hasJournal: false }) })
  harness.declare()
  return harness
}

describe('stream format 1', () => {
  test('opens with its messages at their offsets', async () => {
    const harness = await open()
    assert.equal((await harness.status()).ready, 802 - first)
    const { seen, chunked } = await harness.consume({ 'x-stream-offset': 'first' })
    for (const [index, one] of seen.entries()) {
      const offset = first + index
      const body = offset === 800 ? '' : offset === 801 ? 'last' : `m${offset}`.padEnd(60, '.')
      assert.deepEqual(one, { offset, header: offset, body })
    }
    const parts: Buffer[] = []
    for (let index = 0; index < (chunked[0]?.count ?? 0); index++) {
      await new Promise<void>((resolve) => {
        chunked[0]?.read(index, (_, buffer, start, end) => {
          parts.push(Buffer.from(buffer.subarray(start, end)))
          resolve()
        })
      })
    }
    assert.equal(Buffer.concat(parts).toString(), large)
  })

  test('knows times, filter values and the place of a named consumer', async () => {
    for (const withDigests of [true, false]) {
      const image = new Map([...saved()].filter(([path]) => withDigests || !path.endsWith('.digest')))
      const harness = await open(image)
      const timed = await harness.consume({ 'x-stream-offset': new Date(begun + 12_000) }, { limit: 1 })
      assert.deepEqual(timed.offsets, [600])
      const odd = await harness.consume({ 'x-stream-offset': 'first', 'x-stream-filter': 'odd' })
      const expected = Array.from({ length: 800 - first }, (_, index) => first + index).filter((one) => one % 10 === 5)
      assert.deepEqual(odd.offsets, expected)
      const app = await harness.consume({ 'x-stream-consumer-name': 'app' }, { limit: 1 })
      assert.deepEqual(app.offsets, [700])
      harness.publish('next')
      await harness.settle()
      assert.deepEqual((await harness.consume({ 'x-stream-offset': 'last' })).offsets, [802])
    }
  })

  test('has the bytes that its specification says', () => {
    const fileOf = (name: string): DataView => {
      const bytes = saved().get(`${root}/1000/${name}`)
      assert.ok(bytes !== undefined)
      return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    const u64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true))
    // The log's own header of a digest is 64 bytes long.
    const digest = fileOf('0000000003.digest')
    const at = 64
    assert.deepEqual([digest.getUint32(at, true), u64(digest, at + 8)], [1, first], 'version and first offset')
    assert.equal(u64(digest, at + 16), begun + 10_000)
    const rowsAt = digest.getUint32(at + 40, true)
    const row = digest.getUint32(at + rowsAt, true)
    const segment = fileOf('0000000003.segment')
    const record = row + 4
    assert.equal(segment.getUint8(record), 1, 'a message')
    assert.equal(segment.getUint8(record + 1), 1, 'in frames')
    assert.equal(segment.getUint16(record + 2, true), 7, 'bytes of its route')
    assert.equal(segment.getUint32(record + 4, true), 60, 'bytes of its body')
    assert.deepEqual([u64(segment, record + 8), u64(segment, record + 16)], [first, begun + 10_000])
    assert.deepEqual([segment.getUint32(record + 24, true), segment.getUint32(record + 28, true)], [0, 0], 'no filter')
    const route = Buffer.from(segment.buffer, segment.byteOffset + record + 32, 7)
    assert.equal(route.toString('latin1'), '\x02ex\x03key')
  })
})
