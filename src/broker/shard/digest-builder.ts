/**
 * Makes the digest of a segment (`segment-digest.ts` has the format) in steps: a segment may hold a million entries of a
 * hundred thousand queues, and between any two steps messages come, are delivered and settled.
 *
 * So each entry is looked at once. One that is settled after that is in the digest, and its settlement in a later
 * segment. One that is copied forward meanwhile (of this segment only records that name large bodies) stands in a later
 * segment too, which counts; the next digest must begin at the first of all copies, which is why `undigestedFrom` is left
 * to the copier meanwhile.
 */
import { chunkEntries, type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { NamedBody } from './large-bodies.ts'
import { type QueueState, queueStateBytes, writeQueueState } from './queue-state.ts'
import { writeU32, writeU64 } from './records.ts'
import { digestHeaderBytes, digestVersion, indexRowBytes } from './segment-digest.ts'

export interface DigestSource {
  readonly base: number
  readonly end: number
  readonly queues: readonly LocalQueue[]
  readonly large: readonly NamedBody[]
  /** The durable sent mark of a queue as it must be believed after an unclean stop. */
  sentMarkOf(queue: LocalQueue): number
  statesOf(queue: LocalQueue, sentMark: number): Iterable<QueueState>
}

/** Yields after each chunk, queue or body. */
export function* buildDigest(source: DigestSource): Generator<void, Uint8Array, void> {
  const { queues, large } = source
  const output = new Output(digestHeaderBytes + queues.length * indexRowBytes)
  const states: QueueState[][] = []
  for (const [index, queue] of queues.entries()) {
    const ofQueue: QueueState[] = []
    states.push(ofQueue)
    for (const state of source.statesOf(queue, source.sentMarkOf(queue))) {
      ofQueue.push(state)
      yield
    }
    yield* writeQueue(output, digestHeaderBytes + index * indexRowBytes, queue, source)
    yield
  }
  const statesAt = output.length
  for (const [index, ofQueue] of states.entries()) {
    yield* writeStates(output, digestHeaderBytes + index * indexRowBytes, ofQueue)
  }
  const largeAt = output.length
  for (const named of large) {
    writeLarge(output, named, source.base)
    yield
  }
  const header = [digestVersion, queues.length, large.length, statesAt, largeAt, output.length]
  header.forEach((value, index) => writeU32(output.bytes, index * 4, value))
  return output.bytes.subarray(0, output.length)
}

/** The rows of one queue, and its row in the index. Rows are written with their sequences, which a contiguous run does not need. */
function* writeQueue(
  output: Output,
  rowAt: number,
  queue: LocalQueue,
  source: DigestSource,
): Generator<void, void, void> {
  const from = queue.undigestedFrom
  const rows = new Rows(output, source)
  // Whoever copies one of its entries forward meanwhile makes it lower.
  queue.undigestedFrom = Number.POSITIVE_INFINITY
  const end = queue.entries.next
  for (let first = Math.floor(from / chunkEntries) * chunkEntries; first < end; first += chunkEntries) {
    const chunk = queue.entries.chunkOf(first)
    if (chunk === null || chunk.isAway || chunk.positionMax < source.base) continue
    rows.add(chunk)
    yield
  }
  queue.undigestedFrom = Math.min(queue.undigestedFrom, rows.beyond === 0 ? Math.max(from, rows.last + 1) : rows.beyond)
  const sums = rows.isContiguous ? yield* rows.dropSequences() : []
  writeIndexRow(output.bytes, rowAt, queue.id, rows, output.length)
  for (const sum of sums) writeU64(output.bytes, output.take(8), sum)
}

function writeIndexRow(bytes: Uint8Array, at: number, queueId: number, rows: Rows, sumsAt: number): void {
  writeU64(bytes, at, queueId)
  writeU64(bytes, at + 8, rows.first)
  writeU64(bytes, at + 16, rows.last)
  writeU32(bytes, at + 24, rows.count)
  writeU32(bytes, at + 28, rows.isContiguous ? 1 : 0)
  writeU32(bytes, at + 32, rows.at)
  writeU32(bytes, at + 36, sumsAt)
  writeU32(bytes, at + 48, rows.offsetMax)
  writeU32(bytes, at + 52, rows.hasAside ? 1 : 0)
}

/** The digest as far as it is written; grows. All offsets are multiples of 4. */
class Output {
  length: number
  #words: Uint32Array
  bytes: Uint8Array

  constructor(byteLength: number) {
    this.length = byteLength
    this.#words = new Uint32Array(Math.max(4_096, byteLength / 2))
    this.bytes = new Uint8Array(this.#words.buffer)
  }

  /** Makes room and returns where it begins. */
  take(byteLength: number): number {
    const at = this.length
    this.length = at + byteLength
    if (this.length > this.bytes.length) this.#grow()
    return at
  }

  get words(): Uint32Array {
    return this.#words
  }

  #grow(): void {
    const words = new Uint32Array(Math.ceil(Math.max(this.length, this.bytes.length * 2) / 4))
    words.set(this.#words)
    this.#words = words
    this.bytes = new Uint8Array(words.buffer)
  }
}

/** Three words each while they are gathered: offset in the segment, body bytes, sequence − first. */
class Rows {
  readonly at: number
  count = 0
  first = 0
  last = 0
  offsetMax = 0
  /** An entry among them has a place or a time of its own. */
  hasAside = false
  /** The first entry that lies behind the segment; 0 for none. */
  beyond = 0
  readonly #output: Output
  readonly #base: number
  readonly #end: number

  constructor(output: Output, { base, end }: DigestSource) {
    this.at = output.length
    this.#output = output
    this.#base = base
    this.#end = end
  }

  get isContiguous(): boolean {
    return this.count > 0 && this.last - this.first === this.count - 1
  }

  /** What is live and durable in a chunk and lies in the segment. */
  add(chunk: EntryChunk): void {
    const { flags, positions, sizes, base } = chunk
    for (let slot = 0; slot < flags.length; slot++) {
      const flag = flags[slot] as number
      if (flag === 0 || (flag & EntryFlag.transient) !== 0) continue
      const position = positions[slot] as number
      if (position < this.#base) continue
      if (position < this.#end) {
        this.#put(base + slot, position - this.#base, sizes[slot] as number)
        this.hasAside ||= (flag & EntryFlag.aside) !== 0 || chunk.deadlineOf(base + slot) > 0
      } else if (this.beyond === 0) this.beyond = base + slot
    }
  }

  #put(sequence: number, offset: number, size: number): void {
    if (this.count++ === 0) this.first = sequence
    this.last = sequence
    if (offset > this.offsetMax) this.offsetMax = offset
    const at = this.#output.take(12) / 4
    const { words } = this.#output
    words[at] = offset
    words[at + 1] = size
    words[at + 2] = sequence - this.first
  }

  /** Of a contiguous run, leaves two words a row and returns the body bytes per chunk. */
  *dropSequences(): Generator<void, number[], void> {
    const { words } = this.#output
    const firstSum = Math.floor(this.first / chunkEntries)
    const sums = new Array<number>(Math.floor(this.last / chunkEntries) - firstSum + 1).fill(0)
    let from = this.at / 4
    let to = from
    for (let index = 0; index < this.count; index++, from += 3, to += 2) {
      const size = words[from + 1] as number
      const sum = Math.floor((this.first + index) / chunkEntries) - firstSum
      sums[sum] = (sums[sum] as number) + size
      words[to] = words[from] as number
      words[to + 1] = size
      if ((index & 4_095) === 4_095) yield
    }
    this.#output.length = to * 4
    return sums
  }
}

function* writeStates(output: Output, rowAt: number, states: readonly QueueState[]): Generator<void, void, void> {
  writeU32(output.bytes, rowAt + 40, output.length)
  writeU32(output.bytes, rowAt + 44, states.length)
  for (const state of states) {
    const bytes = queueStateBytes(state)
    const at = output.take(4 + bytes)
    writeU32(output.bytes, at, bytes)
    writeQueueState(output.bytes, at + 4, state)
    yield
  }
}

function writeLarge(output: Output, { name, body }: NamedBody, base: number): void {
  let at = output.take(16 + body.targets.length * 16 + body.positions.length * 12)
  const { bytes } = output
  writeU32(bytes, at, name - base)
  writeU32(bytes, at + 4, body.targets.length)
  writeU32(bytes, at + 8, body.positions.length)
  at += 16
  for (const target of body.targets) {
    writeU64(bytes, at, target.queueId)
    writeU64(bytes, at + 8, target.sequence)
    at += 16
  }
  body.positions.forEach((position, index) => {
    writeU64(bytes, at, position)
    writeU32(bytes, at + 8, body.lengths[index] as number)
    at += 12
  })
}
