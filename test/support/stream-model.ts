/**
 * A stream in memory behind `FrameStream`, for tests: one log's messages as a majority would hold them, and connections to it
 * that do what real ones were seen to do.
 *
 * Faults it can do, each with a chance per call: an append that is lost, stored late (after its sender gave up), stored twice,
 * stored again long after, or answered as refused although it is stored; acknowledgements that are odd or do not come; servers without a leader for a
 * while; reads and states from a replica that lags behind; a follower that lags, repeats and begins anew. As a *liar* it
 * loses messages at its end that it had acknowledged. It does not do: messages that change, gaps, acknowledgements of what
 * is not stored.
 */
import type { Clock } from '../../src/base/clock.ts'
import { SeededRandom } from '../../src/base/random.ts'
import type {
  AppendOutcome,
  DigestPart,
  DigestStream,
  Following,
  FollowListener,
  FrameStream,
  SegmentPlace,
  StreamFrame,
  StreamState,
} from '../../src/log/jetstream/frame-stream.ts'

/** Chances from 0 to 1. */
export interface StreamFaults {
  readonly lost: number
  readonly late: number
  readonly doubled: number
  /** Of a late or second copy: that it is stored whatever sequence it expects, as pipelining makes servers do. */
  readonly unfenced: number
  /** That a message of long ago is stored again. */
  readonly ghost: number
  readonly refusedThoughStored: number
  readonly unanswered: number
  readonly odd: number
  readonly stale: number
  readonly noAnswer: number
  /** Longest delay of a call, in milliseconds. */
  readonly delayMs: number
}

export const noFaults: StreamFaults = {
  lost: 0,
  late: 0,
  doubled: 0,
  unfenced: 0,
  ghost: 0,
  refusedThoughStored: 0,
  unanswered: 0,
  odd: 0,
  stale: 0,
  noAnswer: 0,
  delayMs: 0,
}

/** As many faults as an hour of trouble in a minute. */
export const manyFaults: StreamFaults = {
  lost: 0.03,
  late: 0.04,
  doubled: 0.04,
  unfenced: 0.5,
  ghost: 0.01,
  refusedThoughStored: 0.04,
  unanswered: 0.04,
  odd: 0.02,
  stale: 0.2,
  noAnswer: 0.04,
  delayMs: 8,
}

const appendTimeoutMs = 40
/** What a message takes besides its frame, about, in bytes. */
const overheadBytes = 100

export interface StreamModelOptions {
  readonly clock: Clock
  readonly seed?: number
  readonly bytesMax?: number
}

export class StreamModel {
  readonly clock: Clock
  readonly logId: Uint8Array
  readonly random: SeededRandom
  readonly digests = new Map<string, DigestPart>()
  bytesMax: number
  /** Sequences that followers are not told of, and those that nobody finds: for tests of one step. */
  readonly untold = new Set<number>()
  readonly missing = new Set<number>()
  /** What happens before the next append arrives. */
  beforeAppend: (() => Promise<void>) | null = null
  /** Followers are told what comes. */
  isTelling = true
  /** What is still on its way does not arrive any more. */
  isCalm = false
  /** Nobody answers until then. */
  silentUntil = 0
  /** Asked of it, or told by it, so far. */
  calls = 0
  readonly #messages: StreamFrame[] = []
  #first = 1
  #bytes = 0
  readonly #connections = new Set<ModelConnection>()

  constructor({ clock, seed = 1, bytesMax = 1_000_000_000 }: StreamModelOptions) {
    this.clock = clock
    this.random = new SeededRandom(seed)
    this.logId = this.random.bytes(16)
    this.bytesMax = bytesMax
  }

  connect(faults: StreamFaults = noFaults, name = 'modelled'): ModelConnection {
    const connection = new ModelConnection(this, faults, name)
    this.#connections.add(connection)
    return connection
  }

  get first(): number {
    return this.#first
  }

  get last(): number {
    return this.#first + this.#messages.length - 1
  }

  get bytes(): number {
    return this.#bytes
  }

  at(sequence: number): StreamFrame | null {
    if (this.missing.has(sequence)) return null
    return this.#messages[sequence - this.#first] ?? null
  }

  /** What the leader does with an append that reaches it. */
  offer(expectedLast: number, segment: SegmentPlace, bytes: Uint8Array): 'stored' | 'refused' | 'full' {
    if (expectedLast !== this.last) return 'refused'
    if (this.#bytes + bytes.byteLength + overheadBytes > this.bytesMax) return 'full'
    this.#messages.push({ sequence: this.last + 1, segment, bytes })
    this.#bytes += bytes.byteLength + overheadBytes
    for (const connection of this.#connections) connection.wake()
    return 'stored'
  }

  async takeBeforeAppend(): Promise<void> {
    const before = this.beforeAppend
    this.beforeAppend = null
    await before?.()
  }

  purge(below: number): void {
    while (this.#first < below && this.#messages.length > 0) {
      const gone = this.#messages.shift()
      this.#bytes -= (gone?.bytes.byteLength ?? 0) + overheadBytes
      this.#first++
    }
  }

  /** Loses the last messages, which it had acknowledged. Returns them. */
  loseTail(count: number): StreamFrame[] {
    const lost = this.#messages.splice(Math.max(0, this.#messages.length - count))
    for (const { bytes } of lost) this.#bytes -= bytes.byteLength + overheadBytes
    return lost
  }

  /** Puts a message where it does not belong. */
  inject(segment: SegmentPlace, bytes: Uint8Array): void {
    this.offer(this.last, segment, bytes)
  }

  /** Stores some message again. */
  haunt(): void {
    const message = this.#messages[this.random.below(this.#messages.length)]
    if (message !== undefined) this.inject(message.segment, message.bytes)
  }

  /** Loses its leader for a while. */
  fallSilent(ms: number): void {
    this.silentUntil = this.clock.monotonic() + ms
  }

  drop(connection: ModelConnection): void {
    this.#connections.delete(connection)
  }
}

export class ModelConnection implements FrameStream {
  readonly name: string
  readonly logId: Uint8Array
  readonly frameBytesMax = 1_000_000
  readonly digests: DigestStream
  readonly #model: StreamModel
  readonly #faults: StreamFaults
  readonly #followings = new Set<ModelFollowing>()
  #isCut = false

  constructor(model: StreamModel, faults: StreamFaults, name: string) {
    this.#model = model
    this.#faults = faults
    this.name = name
    this.logId = model.logId
    this.digests = new ModelDigests(model, () => this.#answer())
  }

  get bytesMax(): number {
    return this.#model.bytesMax
  }

  /** The process behind it was killed: nothing is answered any more; what was sent may still arrive. */
  cut(): void {
    this.#isCut = true
    for (const following of this.#followings) void following.stop()
    this.#model.drop(this)
  }

  wake(): void {
    for (const following of this.#followings) following.wake()
  }

  // ---- FrameStream

  async append(expectedLast: number, segment: SegmentPlace, frame: Uint8Array): Promise<AppendOutcome> {
    const bytes = frame.slice()
    const offer = (): 'stored' | 'refused' | 'full' => this.#model.offer(expectedLast, segment, bytes)
    const isFenced = !this.#happens('unfenced')
    const again = (): void => {
      if (this.#model.isCalm) return
      if (isFenced) offer()
      else this.#model.inject(segment, bytes)
    }
    await this.#delay()
    await this.#model.takeBeforeAppend()
    if (this.#isSilent || this.#happens('lost')) return await this.#timeout()
    if (this.#happens('late')) {
      this.#model.clock.after(this.#model.random.below(4 * appendTimeoutMs), again)
      return await this.#timeout()
    }
    const result = offer()
    if (this.#happens('doubled')) this.#model.clock.after(this.#model.random.below(appendTimeoutMs), again)
    if (this.#happens('ghost')) this.#model.haunt()
    if (this.#happens('unanswered')) return await this.#timeout()
    await this.#delay()
    if (this.#happens('refusedThoughStored')) return unknown('wrong last sequence')
    if (this.#happens('odd')) return { kind: 'stored', sequence: this.#model.random.below(expectedLast + 1) }
    if (result === 'stored') return { kind: 'stored', sequence: expectedLast + 1 }
    return result === 'full' ? unknown('maximum bytes exceeded', true) : unknown('wrong last sequence')
  }

  async read(sequence: number): Promise<StreamFrame | null> {
    await this.#answer()
    return sequence > this.#seenLast() ? null : this.#model.at(sequence)
  }

  async state(): Promise<StreamState> {
    await this.#answer()
    const last = this.#seenLast()
    return { first: Math.min(this.#model.first, last + 1), last, bytes: this.#model.bytes }
  }

  async purge(below: number): Promise<void> {
    await this.#answer()
    this.#model.purge(below)
    if (this.#happens('noAnswer')) throw new Error('no answer to a purge')
  }

  follow(from: number, listener: FollowListener): Following {
    const following = new ModelFollowing(this.#model, this.#faults, from, listener)
    this.#followings.add(following)
    following.wake()
    return {
      stop: async () => {
        this.#followings.delete(following)
        await following.stop()
      },
    }
  }

  // ---- inside

  /** A replica that lags never lacks more than it was ever seen to. */
  #seenLast(): number {
    const { last, first, random } = this.#model
    if (!this.#happens('stale')) return last
    return Math.max(first - 1, last - random.below(4))
  }

  get #isSilent(): boolean {
    return this.#model.clock.monotonic() < this.#model.silentUntil
  }

  async #answer(): Promise<void> {
    await this.#delay()
    if (this.#isSilent || this.#happens('noAnswer')) throw new Error('no answer')
  }

  #happens(fault: Exclude<keyof StreamFaults, 'delayMs'>): boolean {
    return this.#faults[fault] > 0 && this.#model.random.next() < this.#faults[fault]
  }

  async #timeout(): Promise<AppendOutcome> {
    await this.#wait(appendTimeoutMs)
    return unknown('timeout')
  }

  async #delay(): Promise<void> {
    this.#model.calls++
    if (this.#faults.delayMs > 0) await this.#wait(this.#model.random.below(this.#faults.delayMs))
    else await new Promise<void>((resolve) => this.#model.clock.soon(resolve))
    if (this.#isCut) await new Promise<never>(() => {})
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#model.clock.after(ms, resolve))
  }
}

function unknown(reason: string, isFull = false): AppendOutcome {
  return { kind: 'unknown', reason, isFull }
}

/** Tells frames from its own replica, which lags by up to `delayMs` and now and then tells some again. */
class ModelFollowing {
  readonly #model: StreamModel
  readonly #faults: StreamFaults
  readonly #listener: FollowListener
  #next: number
  #isStopped = false
  #isTelling = false
  #telling: Promise<void> = Promise.resolve()

  constructor(model: StreamModel, faults: StreamFaults, from: number, listener: FollowListener) {
    this.#model = model
    this.#faults = faults
    this.#next = from
    this.#listener = listener
  }

  wake(): void {
    if (this.#isTelling || this.#isStopped) return
    this.#isTelling = true
    this.#telling = this.#tell()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#telling
  }

  async #tell(): Promise<void> {
    const { clock, random } = this.#model
    const { delayMs } = this.#faults
    await new Promise<void>((resolve) => {
      if (delayMs > 0) clock.after(random.below(delayMs), resolve)
      else clock.soon(resolve)
    })
    while (!this.#isStopped && this.#model.isTelling && this.#next <= this.#model.last) {
      await this.#tellAll()
      if (!this.#isStopped) await this.#listener.idle()
    }
    this.#isTelling = false
  }

  async #tellAll(): Promise<void> {
    const { random } = this.#model
    while (!this.#isStopped && this.#model.isTelling) {
      this.#next = Math.max(this.#next, this.#model.first)
      while (this.#model.untold.has(this.#next) || this.#model.missing.has(this.#next)) this.#next++
      const frame = this.#model.at(this.#next)
      if (frame === null) return
      this.#next++
      this.#model.calls++
      await this.#listener.frame(frame)
      const isRepeated = this.#faults.doubled > 0 && random.next() < this.#faults.doubled
      if (isRepeated) this.#next = Math.max(this.#model.first, this.#next - random.below(3))
    }
  }
}

class ModelDigests implements DigestStream {
  readonly partBytesMax = 64 * 1024
  readonly #model: StreamModel
  readonly #answer: () => Promise<void>

  constructor(model: StreamModel, answer: () => Promise<void>) {
    this.#model = model
    this.#answer = answer
  }

  async put(part: DigestPart): Promise<void> {
    await this.#answer()
    this.#model.digests.set(`${part.segmentId}.${part.part}`, { ...part, bytes: part.bytes.slice() })
  }

  async get(segmentId: number, part: number): Promise<DigestPart | null> {
    await this.#answer()
    return this.#model.digests.get(`${segmentId}.${part}`) ?? null
  }

  async remove(segmentId: number): Promise<void> {
    await this.#answer()
    for (const [key, part] of this.#model.digests) {
      if (part.segmentId === segmentId) this.#model.digests.delete(key)
    }
  }
}
