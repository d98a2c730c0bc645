/** Generated values of everything that goes over the wire, for fast-check; methods come from the specification's listing. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { ByteWriter } from '../../src/amqp/byte-writer.ts'
import { encodeContentHeader, type SomeProperties } from '../../src/amqp/content-header.ts'
import { type FieldTable, type FieldValue, fieldTable } from '../../src/amqp/field-table.ts'
import type { Method } from '../../src/amqp/methods.generated.ts'
import { decodeShortString } from '../../src/amqp/short-string.ts'
import type { Specification, SpecifiedArgument } from '../../src/amqp/spec/generate-methods.ts'
import { projectRoot } from './project-root.ts'

export const specificationText = readFileSync(join(projectRoot, 'src/amqp/spec/amqp-0-9-1.json'), 'utf8')
export const specification = JSON.parse(specificationText) as Specification

/** Any bytes as a name. */
export const names: fc.Arbitrary<string> = fc
  .oneof(
    fc.uint8Array({ maxLength: 255 }),
    fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => Buffer.from(text)),
  )
  .filter((bytes) => bytes.length <= 255)
  .map((bytes) => decodeShortString(bytes, 0, bytes.length))

/** Any bytes as a long text. */
export const longTexts: fc.Arbitrary<string> = fc
  .uint8Array({ maxLength: 400 })
  .map((bytes) => decodeShortString(bytes, 0, bytes.length))

const signed64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(narrow)
const unsigned64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(narrow)

function narrow(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

function whole<const Tag extends 'b' | 'B' | 's' | 'u' | 'I' | 'i'>(
  tag: Tag,
  min: number,
  max: number,
): fc.Arbitrary<FieldValue> {
  return fc.integer({ min, max }).map((value): FieldValue => ({ tag, value }))
}

const tied = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  table: fc.array(fc.tuple(names, tie('value')), { maxLength: 6 }).map((entries) => fieldTable(new Map(entries))),
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.boolean().map((value): FieldValue => ({ tag: 't', value })),
    whole('b', -128, 127),
    whole('B', 0, 255),
    whole('s', -32768, 32767),
    whole('u', 0, 65535),
    whole('I', -(2 ** 31), 2 ** 31 - 1),
    whole('i', 0, 2 ** 32 - 1),
    signed64.map((value): FieldValue => ({ tag: 'l', value })),
    signed64.map((value): FieldValue => ({ tag: 'L', value })),
    unsigned64.map((value): FieldValue => ({ tag: 'T', value })),
    fc.float().map((value): FieldValue => ({ tag: 'f', value })),
    fc.double().map((value): FieldValue => ({ tag: 'd', value })),
    fc
      .record({ scale: fc.integer({ min: 0, max: 255 }), value: fc.integer() }, { noNullPrototype: true })
      .map((value): FieldValue => ({ tag: 'D', value })),
    longTexts.map((value): FieldValue => ({ tag: 'S', value })),
    fc.uint8Array({ maxLength: 40 }).map((value): FieldValue => ({ tag: 'x', value })),
    fc.constant<FieldValue>({ tag: 'V', value: null }),
    fc.array(tie('value'), { maxLength: 5 }).map((value): FieldValue => ({ tag: 'A', value })),
    tie('table').map((value): FieldValue => ({ tag: 'F', value })),
  ),
}))

export const fieldTables: fc.Arbitrary<FieldTable> = tied.table

const argumentValues: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  bit: fc.boolean(),
  octet: fc.integer({ min: 0, max: 255 }),
  short: fc.integer({ min: 0, max: 65535 }),
  long: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  longlong: fc.maxSafeNat(),
  shortstr: names,
  longstr: longTexts,
  bytes: fc.uint8Array({ maxLength: 60 }),
  table: fieldTables,
}

export function argumentsOf(list: readonly SpecifiedArgument[]): fc.Arbitrary<unknown>[] {
  return list.map((argument) => argumentValues[argument.holds ?? argument.type] ?? fc.constant(undefined))
}

export function fieldName(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** Any method of the listing with any arguments. */
export const methods: fc.Arbitrary<Method> = fc.oneof(
  ...specification.classes.flatMap((owner) =>
    owner.methods.map((method) => {
      const shown = method.arguments.filter((argument) => !argument.name.startsWith('reserved-'))
      return fc.tuple(...argumentsOf(shown)).map((values) => ({
        id: (owner.id << 16) | method.id,
        name: `${owner.name}.${method.name}`,
        ...Object.fromEntries(shown.map((argument, index) => [fieldName(argument.name), values[index]])),
      })) as unknown as fc.Arbitrary<Method>
    }),
  ),
)

const octets = fc.integer({ min: 0, max: 255 })

export const someProperties: fc.Arbitrary<SomeProperties> = fc.record(
  {
    contentType: names,
    contentEncoding: names,
    headers: fieldTables,
    deliveryMode: octets,
    priority: octets,
    correlationId: names,
    replyTo: names,
    expiration: names,
    messageId: names,
    timestamp: unsigned64,
    type: names,
    userId: names,
    appId: names,
    clusterId: names,
  },
  { requiredKeys: [], noNullPrototype: true },
)

/** The payload of a content-header frame. */
export function headerBytes(properties: SomeProperties, bodySize = 0): Uint8Array {
  const writer = new ByteWriter(64)
  encodeContentHeader(writer, bodySize, properties)
  return writer.copy()
}
