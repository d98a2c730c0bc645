/**
 * Damaged bytes into every decoder of the wire. They are refused with a `ProtocolError`, or they mean something; and what
 * they mean is the same when it has been encoded and decoded again.
 *
 *     WARREN_FUZZ_SEED=7 WARREN_FUZZ_CASES=1000000 node --test …/test/fuzz/amqp.test.js
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../src/amqp/byte-writer.ts'
import { ChunkedFrames } from '../../src/amqp/chunked-frames.ts'
import {
  bodySizeOf,
  checkContentHeader,
  decodeProperties,
  deliveryModeOf,
  expirationOf,
  headersOf,
  messageIdOf,
  priorityOf,
  replyToOf,
  rewriteContentHeader,
  userIdOf,
} from '../../src/amqp/content-header.ts'
import { decodeFieldTable, encodeFieldTable } from '../../src/amqp/field-table.ts'
import { FrameDecoder } from '../../src/amqp/frame-decoder.ts'
import { encodeMethodFrame } from '../../src/amqp/frame-encoder.ts'
import { decodeMethod, encodeMethod } from '../../src/amqp/methods.generated.ts'
import { ProtocolError } from '../../src/amqp/reply-codes.ts'
import { decodeShortString, encodeText } from '../../src/amqp/short-string.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { fieldTables, headerBytes, methods, someProperties } from '../support/amqp-arbitraries.ts'
import { mutate } from '../support/byte-mutation.ts'
import { amid } from '../support/protocol-error.ts'

const seed = Number(process.env['WARREN_FUZZ_SEED'] ?? 1)
const cases = Number(process.env['WARREN_FUZZ_CASES'] ?? 40_000)
const sampling = { seed, numRuns: 150 }

const corpora = {
  methods: fc.sample(methods, sampling).map((method) => written((writer) => encodeMethod(writer, method))),
  tables: fc.sample(fieldTables, sampling).map((table) => table.bytes),
  headers: fc.sample(someProperties, sampling).map((properties) => headerBytes(properties, 100)),
  streams: fc.sample(fc.array(methods, { minLength: 1, maxLength: 4 }), sampling).map((list) =>
    written((writer) => {
      for (const [index, method] of list.entries()) encodeMethodFrame(writer, index, method)
    }),
  ),
}

describe(`damaged bytes (seed ${seed})`, () => {
  it('as a method are refused, or decode to what encodes and decodes to the same', () => {
    fuzz(corpora.methods, decodeMethod, (method) => {
      const again = written((writer) => encodeMethod(writer, method))
      assert.deepEqual(decodeMethod(again, 0, again.length), method)
    })
  })

  it('as a field table are refused, or decode to fields that encode and decode to the same', () => {
    fuzz(corpora.tables, decodeFieldTable, (table, bytes) => {
      assert.deepEqual(table.bytes, bytes)
      const again = encodeFieldTable(table.fields)
      assert.deepEqual(decodeFieldTable(again, 0, again.length).fields, table.fields)
    })
  })

  it('as a content header are refused, or can be read and written again to the byte', () => {
    fuzz(corpora.headers, checkContentHeader, (_, bytes) => {
      const { buffer, start, end } = amid(bytes)
      const properties = decodeProperties(buffer, start, end)
      assert.equal(deliveryModeOf(buffer, start, end), properties.deliveryMode ?? 1)
      assert.equal(priorityOf(buffer, start, end), properties.priority ?? 0)
      assert.equal(expirationOf(buffer, start, end), properties.expiration)
      assert.equal(replyToOf(buffer, start, end), properties.replyTo)
      assert.equal(userIdOf(buffer, start, end), properties.userId)
      assert.equal(messageIdOf(buffer, start, end), properties.messageId)
      assert.equal(headersOf(buffer, start, end).fields.size, properties.headers?.fields.size ?? 0)
      if (bodySizeOf(buffer, start, end) === Number.MAX_SAFE_INTEGER) return
      assert.deepEqual(
        written((writer) => rewriteContentHeader(writer, buffer, start, end, {})),
        bytes,
      )
    })
  })

  for (const read of [decodeProperties, deliveryModeOf, headersOf, userIdOf, bodySizeOf]) {
    it(`make ${read.name} throw nothing but a ProtocolError, though nobody checked them`, () => {
      fuzz<unknown>(corpora.headers, read, () => {}, cases / 10)
    })
  }

  it('as a stream give the same frames and the same error however they are cut', () => {
    const random = new SeededRandom(seed)
    fuzz(corpora.streams, scan, (lines, bytes) => {
      assert.deepEqual(scanInPieces(bytes, random), lines)
    })
  })

  it('as a name are kept', () => {
    fuzz(corpora.tables, decodeShortString, (text, bytes) => {
      const buffer = new Uint8Array(bytes.length)
      assert.equal(encodeText(text, buffer, 0), bytes.length)
      assert.deepEqual(buffer, bytes)
    })
  })
})

/**
 * Gives damaged samples to `decode`, which may refuse them with a `ProtocolError`, and what it makes of them to `verify`,
 * which may not. Anything else is a find.
 */
function fuzz<T>(
  samples: readonly Uint8Array[],
  decode: (buffer: Uint8Array, start: number, end: number) => T,
  verify: (value: T, bytes: Uint8Array) => void,
  count = cases,
): void {
  const random = new SeededRandom(seed)
  let accepted = 0
  for (let index = 0; index < count; index++) {
    const bytes = mutate(samples[index % samples.length] ?? new Uint8Array(0), samples, random)
    try {
      const value = unlessRefused(decode, bytes)
      if (value === refused) continue
      accepted++
      verify(value, bytes)
    } catch (error) {
      throw new Error(`case ${index} of seed ${seed}: ${Buffer.from(bytes).toString('hex')}`, { cause: error })
    }
  }
  assert.ok(accepted > count / 100, `only ${accepted} of ${count} got past the first checks`)
}

const refused = Symbol('refused')

function unlessRefused<T>(
  decode: (buffer: Uint8Array, start: number, end: number) => T,
  bytes: Uint8Array,
): T | typeof refused {
  const { buffer, start, end } = amid(bytes)
  try {
    return decode(buffer, start, end)
  } catch (error) {
    if (error instanceof ProtocolError && error.scope === 'connection') return refused
    throw error
  }
}

/** The frames as lines, and at the end how far it got: refused with a code, or so many bytes left over. */
function scan(buffer: Uint8Array, start: number, end: number): string[] {
  const decoder = new FrameDecoder()
  decoder.reset(buffer, start, end)
  const lines: string[] = []
  try {
    while (decoder.next()) lines.push(lineOf(decoder))
    return [...lines, `${decoder.partialBytes} left`]
  } catch (error) {
    return [...lines, refusal(error)]
  }
}

function scanInPieces(bytes: Uint8Array, random: SeededRandom): string[] {
  const frames = new ChunkedFrames()
  const lines: string[] = []
  const longest = 1 + random.below(60)
  try {
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(at + random.below(longest + 1), bytes.length)
      frames.push(bytes.slice(at, end))
      while (frames.next()) lines.push(lineOf(frames.decoder))
      at = end
    }
    return [...lines, `${frames.carriedBytes} left`]
  } catch (error) {
    return [...lines, refusal(error)]
  }
}

function lineOf(decoder: FrameDecoder): string {
  const payload = Buffer.from(decoder.buffer.subarray(decoder.payloadStart, decoder.payloadEnd))
  return `${decoder.type} ${decoder.channel} ${payload.toString('hex')}`
}

function refusal(error: unknown): string {
  if (error instanceof ProtocolError) return `refused: ${error.message}`
  throw error
}

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(64)
  write(writer)
  return writer.copy()
}
