import { hash as digestOf } from 'node:crypto'
import { encodedBytes, encodeText } from '../../amqp/short-string.ts'
import type { DeduplicationSettings } from './queue-settings.ts'

/**
 * The ids of the messages that a queue took in last: of each one for `windowMs`, of `idsMax` at most; the oldest is
 * forgotten first. An id that comes again while it is remembered is a duplicate, and does not make it be remembered
 * longer.
 *
 * Not the ids are kept but the first 128 bits of their SHA-256. Publishers choose ids, so with a hash that can be
 * forged one could make another's message be taken for a duplicate and vanish; by chance, two of 2^40 ids are the same
 * with a probability of about 2^-49.
 *
 *     ring    id after id in order of time, 24 bytes each: hash (16), wall time in milliseconds (8)
 *     table   hash → slot of the ring: open addressing, linear probing, 4 bytes a place, at most half full
 *
 * That is 32 to 80 bytes an id: 24 in a ring that may be half empty, and two to eight places. No object is made per id.
 * Both double when the ring is full, up to `idsMax`, and halve when three quarters of it are unused.
 *
 * Time is an argument, in milliseconds of wall time. Where it goes back, ids are remembered that much longer.
 */
export class DeduplicationWindow {
  #windowMs: number
  #idsMax: number
  #slots = slotsMin
  #hashes = new Uint32Array(slotsMin * hashWords)
  #times = new Float64Array(slotsMin)
  #table = new Uint32Array(slotsMin * 2)
  /** The slot of the oldest id. */
  #first = 0
  #size = 0

  constructor(settings: DeduplicationSettings) {
    this.#windowMs = settings.windowMs
    this.#idsMax = limitOf(settings)
  }

  /** Ids that are kept, those whose time has passed since the last call included. */
  get size(): number {
    return this.#size
  }

  get memoryBytes(): number {
    return this.#hashes.byteLength + this.#times.byteLength + this.#table.byteLength
  }

  /** Holds from now on, for the ids that are there too. A longer window does not bring back what was forgotten. */
  configure(settings: DeduplicationSettings, now: number): void {
    this.#windowMs = settings.windowMs
    this.#idsMax = limitOf(settings)
    this.#forgetOld(now)
    while (this.#size > this.#idsMax) this.#forgetFirst()
    this.#shrink()
  }

  isDuplicate(id: string, now: number): boolean {
    readHash(id)
    const slot = this.#find()
    return slot !== none && !this.#isOld(slot, now)
  }

  /** Without effect for an id that is remembered already. */
  remember(id: string, now: number): void {
    this.#forgetOld(now)
    readHash(id)
    this.#add(now)
    this.#shrink()
  }

  /** The same for the id whose `hashOf` begins at `at`: what a log keeps of it. */
  rememberHash(buffer: Uint8Array, at: number, now: number): void {
    this.#forgetOld(now)
    const view = new DataView(buffer.buffer, buffer.byteOffset + at, hashBytes)
    for (let word = 0; word < hashWords; word++) hash[word] = view.getUint32(word * 4)
    this.#add(now)
    this.#shrink()
  }

  clear(): void {
    this.#first = 0
    this.#size = 0
    this.#resize(slotsMin)
  }

  // ---------------------------------------------------------------- as bytes

  /** What is kept, oldest first, `entryBytes` an id: `count` ids from index `from` on, or as many as there are. */
  entries(from = 0, count = this.#size): Uint8Array {
    const end = Math.min(this.#size, from + count)
    const bytes = new Uint8Array(Math.max(0, end - from) * entryBytes)
    const view = new DataView(bytes.buffer)
    for (let index = from, at = 0; index < end; index++, at += entryBytes) {
      const slot = this.#slotAt(index)
      for (let word = 0; word < hashWords; word++) {
        view.setUint32(at + word * 4, this.#hashes[slot * hashWords + word] as number)
      }
      view.setFloat64(at + hashWords * 4, this.#times[slot] as number)
    }
    return bytes
  }

  /** Remembers, behind what is there, what `entries` gave. Parts are restored in their order. */
  restore(entries: Uint8Array): void {
    const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength)
    for (let at = 0; at + entryBytes <= entries.length; at += entryBytes) {
      for (let word = 0; word < hashWords; word++) hash[word] = view.getUint32(at + word * 4)
      this.#add(view.getFloat64(at + hashWords * 4))
    }
  }

  // ---------------------------------------------------------------- the ring

  /** `hash` at `time`, unless it is there. The oldest makes room for it. */
  #add(time: number): void {
    const known = this.#find()
    if (known !== none) {
      // One whose time has passed is still there when the clock has gone back: it begins anew in its old place.
      if (this.#isOld(known, time)) this.#times[known] = time
      return
    }
    if (this.#size >= this.#idsMax) this.#forgetFirst()
    if (this.#size === this.#slots) this.#resize(this.#slots * 2)
    const slot = this.#slotAt(this.#size++)
    this.#hashes.set(hash, slot * hashWords)
    this.#times[slot] = time
    this.#table[this.#freePlace(hash[0] as number)] = slot + 1
  }

  #slotAt(index: number): number {
    return (this.#first + index) & (this.#slots - 1)
  }

  #isOld(slot: number, now: number): boolean {
    return now - (this.#times[slot] as number) >= this.#windowMs
  }

  #forgetOld(now: number): void {
    while (this.#size > 0 && this.#isOld(this.#first, now)) this.#forgetFirst()
  }

  #forgetFirst(): void {
    this.#removeFromTable(this.#first)
    this.#first = this.#slotAt(1)
    this.#size--
  }

  #shrink(): void {
    if (this.#slots > slotsMin && this.#size < this.#slots / 4) this.#resize(this.#slots / 2)
  }

  #resize(slots: number): void {
    const hashes = new Uint32Array(slots * hashWords)
    const times = new Float64Array(slots)
    for (let index = 0; index < this.#size; index++) {
      const slot = this.#slotAt(index)
      for (let word = 0; word < hashWords; word++) {
        hashes[index * hashWords + word] = this.#hashes[slot * hashWords + word] as number
      }
      times[index] = this.#times[slot] as number
    }
    this.#slots = slots
    this.#hashes = hashes
    this.#times = times
    this.#first = 0
    this.#table = new Uint32Array(slots * 2)
    for (let slot = 0; slot < this.#size; slot++) {
      this.#table[this.#freePlace(hashes[slot * hashWords] as number)] = slot + 1
    }
  }

  // ---------------------------------------------------------------- the table

  /** The slot of `hash`; `none` when it is not there. */
  #find(): number {
    const mask = this.#table.length - 1
    for (let place = (hash[0] as number) & mask; ; place = (place + 1) & mask) {
      const slot = (this.#table[place] as number) - 1
      if (slot === none || this.#isHash(slot)) return slot
    }
  }

  #isHash(slot: number): boolean {
    for (let word = 0; word < hashWords; word++) {
      if (this.#hashes[slot * hashWords + word] !== hash[word]) return false
    }
    return true
  }

  #freePlace(firstWord: number): number {
    const mask = this.#table.length - 1
    let place = firstWord & mask
    while (this.#table[place] !== 0) place = (place + 1) & mask
    return place
  }

  /** Where a hash would stand if its place were free. */
  #homeOf(slot: number): number {
    return (this.#hashes[slot * hashWords] as number) & (this.#table.length - 1)
  }

  /** Those behind it that may stand in the place that is now empty move up, so that every search still finds them. */
  #removeFromTable(gone: number): void {
    const table = this.#table
    const mask = table.length - 1
    let empty = this.#homeOf(gone)
    while (table[empty] !== gone + 1) empty = (empty + 1) & mask
    for (let place = (empty + 1) & mask; table[place] !== 0; place = (place + 1) & mask) {
      const home = this.#homeOf((table[place] as number) - 1)
      if (((place - home) & mask) < ((place - empty) & mask)) continue
      table[empty] = table[place] as number
      empty = place
    }
    table[empty] = 0
  }
}

/** An id as `entries` gives it: hash and time, in network order. */
export const entryBytes = 24

export const hashBytes = 16
const hashWords = hashBytes / 4
const slotsMin = 16
/** No slot: what is in an empty place of the table, less one. */
const none = -1

/** The hash in question; belongs to the call under way, which never waits. */
const hash = new Uint32Array(hashWords)

/** The hash by which an id is known, `hashBytes` long. */
export function hashOf(id: string): Uint8Array {
  return digestOfId(id).subarray(0, hashBytes)
}

function readHash(id: string): void {
  const digest = digestOfId(id)
  for (let word = 0; word < hashWords; word++) hash[word] = digest.readUInt32BE(word * 4)
}

/** Ids are any bytes, which only this encoding gives back as they were. */
function digestOfId(id: string): Buffer {
  const bytes = new Uint8Array(encodedBytes(id))
  encodeText(id, bytes, 0)
  return digestOf('sha256', bytes, 'buffer')
}

function limitOf({ idsMax }: DeduplicationSettings): number {
  return Math.max(1, idsMax)
}
