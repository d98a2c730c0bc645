import { hash as digestOf } from 'node:crypto'
import { encodedBytes, encodeText } from '../../amqp/short-string.ts'
import { HashPlaces, none } from './hash-places.ts'
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
 *     pages   id after id in order of time, 24 bytes each: hash (16), wall time in milliseconds (8)
 *     table   hash → number of the id: open addressing, linear probing, 4 bytes a place, at most half full (`hash-places.ts`)
 *
 * That is 32 to 60 bytes an id. No object is made per id, and no call takes long, however many there are: pages are never
 * copied, the table grows a few places with each id, and of those whose time has passed a few go at a time.
 *
 * Time is an argument, in milliseconds of wall time. Where it goes back, ids are remembered that much longer.
 */
export class DeduplicationWindow {
  #windowMs: number
  #idsMax: number
  readonly #table = new HashPlaces((number) => this.#wordAt(number))
  /** The first holds the oldest id. */
  #pages: IdPage[] = []
  /** Of the oldest id, and of the next one that comes, counted up for ever. */
  #first = 0
  #next = 0
  /** Ids among them that have begun anew behind. */
  #dead = 0

  constructor(settings: DeduplicationSettings) {
    this.#windowMs = settings.windowMs
    this.#idsMax = limitOf(settings)
  }

  /** Ids that are kept, some of those whose time has passed included. */
  get size(): number {
    return this.#next - this.#first - this.#dead
  }

  /** The number of the oldest id, and the one behind the newest, for `entriesFrom`. */
  get firstNumber(): number {
    return this.#first
  }

  get endNumber(): number {
    return this.#next
  }

  get memoryBytes(): number {
    return this.#pages.length * pageIds * entryBytes + this.#table.memoryBytes
  }

  /** Holds from now on, for the ids that are there too. A longer window does not bring back what was forgotten. */
  configure(settings: DeduplicationSettings, now: number): void {
    this.#windowMs = settings.windowMs
    this.#idsMax = limitOf(settings)
    while (this.#isFirstOld(now) || this.size > this.#idsMax) this.#forgetFirst()
  }

  isDuplicate(id: string, now: number): boolean {
    readHash(id)
    const number = this.#find()
    return number !== none && !this.#isOld(number, now)
  }

  /** Without effect for an id that is remembered already. */
  remember(id: string, now: number): void {
    this.#forgetOld(now)
    readHash(id)
    this.#add(now)
  }

  /** The same for the id whose `hashOf` begins at `at`: what a log keeps of it. */
  rememberHash(buffer: Uint8Array, at: number, now: number): void {
    this.#forgetOld(now)
    const view = new DataView(buffer.buffer, buffer.byteOffset + at, hashBytes)
    for (let word = 0; word < hashWords; word++) hash[word] = view.getUint32(word * 4)
    this.#add(now)
  }

  clear(): void {
    this.#table.clear()
    this.#pages = []
    this.#first = 0
    this.#next = 0
    this.#dead = 0
  }

  // ---------------------------------------------------------------- as bytes

  /** What is kept, oldest first, `entryBytes` an id. */
  entries(): Uint8Array {
    return this.entriesFrom(this.#first, this.#next - this.#first)
  }

  /** The ids with `count` numbers from `from` on, as far as they are kept. Numbers stay, whatever is forgotten meanwhile. */
  entriesFrom(from: number, count: number): Uint8Array {
    const end = Math.min(this.#next, from + count)
    const start = Math.max(from, this.#first)
    const bytes = new Uint8Array(Math.max(0, end - start) * entryBytes)
    const view = new DataView(bytes.buffer)
    let at = 0
    for (let number = start; number < end; number++) {
      const time = this.#timeOf(number)
      if (Number.isNaN(time)) continue
      const { hashes } = this.#pageOf(number)
      for (let word = 0; word < hashWords; word++) {
        view.setUint32(at + word * 4, hashes[(number % pageIds) * hashWords + word] as number)
      }
      view.setFloat64(at + hashBytes, time)
      at += entryBytes
    }
    return bytes.subarray(0, at)
  }

  /** Remembers, behind what is there, what `entries` gave. Parts are restored in their order. */
  restore(entries: Uint8Array): void {
    const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength)
    for (let at = 0; at + entryBytes <= entries.length; at += entryBytes) {
      for (let word = 0; word < hashWords; word++) hash[word] = view.getUint32(at + word * 4)
      this.#add(view.getFloat64(at + hashWords * 4))
    }
  }

  // ---------------------------------------------------------------- ids by number

  /** `hash` at `time`, unless it is there. The oldest makes room for it. */
  #add(time: number): void {
    const known = this.#find()
    if (known !== none && !this.#isOld(known, time)) return
    if (known !== none) this.#end(known)
    while (this.size >= this.#idsMax) this.#forgetFirst()
    const number = this.#next++
    if (this.#first === number) this.#pages = []
    if (number % pageIds === 0 || this.#pages.length === 0) this.#pages.push(new IdPage())
    const page = this.#pageOf(number)
    page.hashes.set(hash, (number % pageIds) * hashWords)
    page.times[number % pageIds] = time
    this.#table.add(hash[0] as number, number)
  }

  /** Its time has passed, and it comes again: it is remembered anew, in its order. */
  #end(number: number): void {
    this.#table.remove(this.#wordAt(number), number)
    this.#pageOf(number).times[number % pageIds] = Number.NaN
    this.#dead++
  }

  #find(): number {
    return this.#table.find(hash[0] as number, this.#first, this.#isHash)
  }

  readonly #isHash = (number: number): boolean => {
    const { hashes } = this.#pageOf(number)
    const at = (number % pageIds) * hashWords
    for (let word = 0; word < hashWords; word++) if (hashes[at + word] !== hash[word]) return false
    return true
  }

  #isOld(number: number, now: number): boolean {
    return now - this.#timeOf(number) >= this.#windowMs
  }

  #isFirstOld(now: number): boolean {
    if (this.#first === this.#next) return false
    return Number.isNaN(this.#timeOf(this.#first)) || this.#isOld(this.#first, now)
  }

  #forgetOld(now: number): void {
    for (let count = 0; count < forgottenAtOnce && this.#isFirstOld(now); count++) this.#forgetFirst()
  }

  #forgetFirst(): void {
    const number = this.#first
    if (Number.isNaN(this.#timeOf(number))) this.#dead--
    else this.#table.remove(this.#wordAt(number), number)
    this.#first++
    if (this.#first % pageIds === 0 || this.#first === this.#next) this.#pages.shift()
  }

  #wordAt(number: number): number {
    return this.#pageOf(number).hashes[(number % pageIds) * hashWords] as number
  }

  #timeOf(number: number): number {
    return this.#pageOf(number).times[number % pageIds] as number
  }

  #pageOf(number: number): IdPage {
    return this.#pages[Math.floor(number / pageIds) - Math.floor(this.#first / pageIds)] as IdPage
  }
}

/** Ids of one page. */
const pageIds = 128
/** Ids whose time has passed that go with one that comes. */
const forgottenAtOnce = 64

class IdPage {
  readonly hashes = new Uint32Array(pageIds * (hashBytes / 4))
  /** NaN: it has begun anew behind. */
  readonly times = new Float64Array(pageIds)
}

/** An id as `entries` gives it: hash and time, in network order. */
export const entryBytes = 24

export const hashBytes = 16
const hashWords = hashBytes / 4

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
