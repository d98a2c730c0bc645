import { readUint32 } from './byte-reader.ts'
import { ProtocolError, ReplyCodes } from './reply-codes.ts'

/**
 * Walks over an encoded field table and says whether it is well formed and within the limits, without building
 * anything. What has passed here decodes without an error.
 */

/** Tables and arrays within one another, the outermost counted. */
export const fieldDepthMax = 32

/** Fields and array items of a table, all those within it counted. */
export const fieldItemsMax = 4096

/** Bytes that follow the tag; `counted` where a 32-bit length says so; `unknown` for no tag. */
const widths = new Int8Array(256)
const counted = -1
const unknown = -2
widths.fill(unknown)
for (const tag of 'tbB') widths[tag.charCodeAt(0)] = 1
for (const tag of 'su') widths[tag.charCodeAt(0)] = 2
for (const tag of 'Iif') widths[tag.charCodeAt(0)] = 4
for (const tag of 'lLTd') widths[tag.charCodeAt(0)] = 8
for (const tag of 'D') widths[tag.charCodeAt(0)] = 5
for (const tag of 'V') widths[tag.charCodeAt(0)] = 0
for (const tag of 'SxAF') widths[tag.charCodeAt(0)] = counted

const tagTable = 'F'.charCodeAt(0)
const tagArray = 'A'.charCodeAt(0)

/** Items that may still come. Belongs to the check under way; a check never waits. */
let itemsLeft = 0

/** Throws `ProtocolError` unless `buffer[start..end)` are the entries of a table with at most `itemsMax` items. */
export function checkFieldTable(
  buffer: Uint8Array,
  start: number,
  end: number,
  itemsMax: number = fieldItemsMax,
): void {
  itemsLeft = itemsMax
  checkEntries(buffer, start, end, 1)
}

function checkEntries(buffer: Uint8Array, start: number, end: number, depth: number): void {
  let at = start
  while (at < end) {
    const valueAt = at + 1 + (buffer[at] as number)
    if (valueAt >= end) throw new ProtocolError(ReplyCodes.FrameError, 'a field table ends inside a field')
    at = checkValue(buffer, valueAt, end, depth)
  }
}

function checkItems(buffer: Uint8Array, start: number, end: number, depth: number): void {
  let at = start
  while (at < end) at = checkValue(buffer, at, end, depth)
}

/** The value whose tag is at `at < end`; returns where it ends. */
function checkValue(buffer: Uint8Array, at: number, end: number, depth: number): number {
  if (--itemsLeft < 0) throw new ProtocolError(ReplyCodes.SyntaxError, 'too many items in a field table')
  const tag = buffer[at] as number
  const width = widths[tag] as number
  if (width === unknown) throw new ProtocolError(ReplyCodes.SyntaxError, `unknown type ${tag} in a field table`)
  const bodyAt = at + (width === counted ? 5 : 1)
  if (bodyAt > end) throw new ProtocolError(ReplyCodes.FrameError, 'a field table ends inside a field')
  const next = bodyAt + (width === counted ? readUint32(buffer, at + 1) : width)
  if (next > end) throw new ProtocolError(ReplyCodes.FrameError, 'a field is longer than its table')
  if (tag === tagTable || tag === tagArray) {
    if (depth === fieldDepthMax) {
      throw new ProtocolError(ReplyCodes.SyntaxError, `field tables nested deeper than ${fieldDepthMax}`)
    }
    if (tag === tagTable) checkEntries(buffer, bodyAt, next, depth + 1)
    else checkItems(buffer, bodyAt, next, depth + 1)
  }
  return next
}

/** Where the value whose tag is at `at` ends. The bytes have passed `checkFieldTable`. */
export function valueEnd(buffer: Uint8Array, at: number): number {
  const width = widths[buffer[at] as number] as number
  return at + (width === counted ? 5 + readUint32(buffer, at + 1) : 1 + width)
}
