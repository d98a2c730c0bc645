/** What messages of a row carry besides their bodies: a property or header whose value differs from one to the next. */
export interface MessageProperty {
  readonly kind: 'delay' | 'priority' | 'group' | 'expiration' | 'id'
  /** Values are low … high; those of `expiration` (ms) must have as many digits as one another. */
  readonly low: number
  readonly high: number
  /** Drawn at random, repeatably; else one after the other, round and round. */
  readonly isRandom: boolean
}

/** A property as it stands in a content header (AMQP 0-9-1 §4.2.6.1), with room for its value. */
export interface PropertyPlace {
  readonly flags: number
  /** Headers stand before the delivery mode, the other properties behind it. */
  readonly isHeaders: boolean
  readonly bytes: Buffer
  readonly valueAt: number
  /** Digits of text, or bytes of a number. */
  readonly width: number
  readonly isText: boolean
}

const idDigits = 12
const groupDigits = 7

export function placeOf({ kind, high }: MessageProperty): PropertyPlace {
  switch (kind) {
    case 'delay':
      return header('x-delay', 'I', 4, false)
    case 'group':
      return header('x-group', 'S', groupDigits, true)
    case 'priority':
      return { flags: 0x0800, isHeaders: false, bytes: Buffer.alloc(1), valueAt: 0, width: 1, isText: false }
    case 'expiration':
      return shortText(0x0100, String(high).length)
    case 'id':
      return shortText(0x0080, idDigits)
  }
}

export function propertyValue({ low, high, isRandom }: MessageProperty, sequence: number): number {
  const count = high - low + 1
  if (!isRandom) return low + (sequence % count)
  let mixed = Math.imul(sequence ^ (sequence >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return low + (((mixed ^ (mixed >>> 16)) >>> 0) % count)
}

/** Writes a value into its room, which begins at `at`. */
export function writeValue(bytes: Buffer, at: number, { width, isText }: PropertyPlace, value: number): void {
  if (!isText) {
    bytes.writeUIntBE(value, at, width)
    return
  }
  let left = value
  for (let index = at + width - 1; index >= at; index--) {
    bytes[index] = 48 + (left % 10)
    left = Math.floor(left / 10)
  }
}

/** A table with one field. */
function header(name: string, type: string, width: number, isText: boolean): PropertyPlace {
  const length = isText ? 4 : 0
  const field = Buffer.alloc(1 + name.length + 1 + length + width)
  field[0] = name.length
  field.write(name + type, 1, 'latin1')
  if (isText) field.writeUInt32BE(width, name.length + 2)
  const bytes = Buffer.alloc(4 + field.length)
  bytes.writeUInt32BE(field.length)
  field.copy(bytes, 4)
  return { flags: 0x2000, isHeaders: true, bytes, valueAt: bytes.length - width, width, isText }
}

function shortText(flags: number, width: number): PropertyPlace {
  const bytes = Buffer.alloc(1 + width)
  bytes[0] = width
  return { flags, isHeaders: false, bytes, valueAt: 1, width, isText: true }
}
