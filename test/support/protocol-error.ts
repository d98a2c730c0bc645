/** What tests of the wire say about errors, and bytes written as hexadecimal digits. */
import assert from 'node:assert/strict'
import { ProtocolError } from '../../src/amqp/reply-codes.ts'

/** The action throws a `ProtocolError` with this code, and a text that fits. Returns it. */
export function throwsProtocolError(action: () => unknown, replyCode: number, text = /./): ProtocolError {
  const error = errorOf(action)
  assert.ok(error instanceof ProtocolError, `a ProtocolError is thrown, not ${String(error)}`)
  assert.equal(error.replyCode, replyCode, error.message)
  assert.match(error.message, text)
  return error
}

/** What the action throws; undefined when it returns. */
export function errorOf(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}

/** `bytesOf('01 ff', 'text', 7)`: hexadecimal digits with blanks between octets; a text beginning with `'` is ASCII. */
export function bytesOf(...parts: readonly (string | number | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.of(part)
      if (typeof part !== 'string') return part
      return part.startsWith("'") ? Buffer.from(part.slice(1), 'utf8') : Buffer.from(part.replaceAll(' ', ''), 'hex')
    }),
  )
}

/** The same bytes in the middle of a larger buffer of 0xff, as they stand in a read buffer. */
export function amid(bytes: Uint8Array): { buffer: Uint8Array; start: number; end: number } {
  const start = 5
  const buffer = new Uint8Array(start + bytes.length + 9).fill(0xff)
  buffer.set(bytes, start)
  return { buffer, start, end: start + bytes.length }
}

/** Plain bytes, so that a `Buffer` and a `Uint8Array` compare as equal. */
export function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
