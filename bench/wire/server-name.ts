/**
 * Finds `product` and `version` in the server-properties of connection.start, so that a row can be named by what the
 * broker calls itself. Everything else in the table is skipped by its length.
 */
export function readServerName(start: Buffer): string {
  const names = new Map<string, string>()
  const end = 10 + start.readUInt32BE(6)
  let at = 10
  while (at < end && at < start.length) {
    const keyBytes = start[at] ?? 0
    const key = start.toString('utf8', at + 1, at + 1 + keyBytes)
    at += 1 + keyBytes
    const type = String.fromCharCode(start[at] ?? 0)
    at += 1
    const length = valueBytes(type, start, at)
    if (length === null) break
    if (type === 'S') names.set(key, start.toString('utf8', at + 4, at + length))
    at += length
  }
  const product = names.get('product') ?? 'broker'
  const version = names.get('version')
  return version === undefined ? product : `${product} ${version}`
}

const fixedBytes: Readonly<Record<string, number>> = {
  t: 1,
  b: 1,
  B: 1,
  s: 2,
  u: 2,
  I: 4,
  i: 4,
  f: 4,
  l: 8,
  L: 8,
  d: 8,
  T: 8,
  D: 5,
  V: 0,
}

/** Bytes of a field value behind its type letter (AMQP 0-9-1 §4.2.5.5 with RabbitMQ's additions); null when unknown. */
function valueBytes(type: string, bytes: Buffer, at: number): number | null {
  const fixed = fixedBytes[type]
  if (fixed !== undefined) return fixed
  if (!'SFAx'.includes(type) || at + 4 > bytes.length) return null
  return 4 + bytes.readUInt32BE(at)
}
