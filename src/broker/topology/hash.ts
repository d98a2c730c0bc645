/**
 * Hashes that decide where messages go: the same on every machine and for ever, so that a restart sends no key elsewhere.
 */

/** 32 bits of a text: FNV-1a over its UTF-16 units, then mixed so that similar texts lie far apart. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193)
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193)
  }
  return mixed(hash)
}

/** 32 bits in which each bit depends on every bit of `bits` (the finish of MurmurHash3). */
export function mixed(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
