/**
 * One watch of a whole bucket, for all who want to hear of some of its keys. It is never over: when its consumer is lost
 * it begins another one and tells what has changed meanwhile.
 *
 * The bucket keeps the last value of each key only, so what arrives in between may lack a value that was overwritten
 * meanwhile. Therefore it is passed on when nothing more is pending: then it is a state that the bucket was in.
 *
 * A consumer may fall silent without an error. Each node writes every second, so what it has written itself must come by
 * soon; if it does not, the watch is begun anew.
 */
import type { KV, KvWatchEntry } from '@nats-io/kv'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { CoordinationWatch } from '../coordination.ts'

const restartMs = 200
/** Own writes that have not come by for so long. */
const silenceMsMax = 3_000

interface Known {
  /** Null: removed. */
  readonly value: string | null
  readonly revision: number
}

interface Listener {
  readonly prefix: string
  readonly watch: CoordinationWatch
  isTold: boolean
}

export class BucketWatch {
  readonly #kv: KV
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #known = new Map<string, Known>()
  readonly #listeners = new Set<Listener>()
  /** Arrived, and not passed on yet. */
  #arrived: KvWatchEntry[] = []
  #revisionArrived = 0
  /** Since when this revision, which we have written, is waited for. */
  #awaited: { readonly revision: number; readonly since: number } | null = null
  #isLevel = false
  #isClosed = false
  #isRunning = false
  #stopCurrent: () => void = () => {}

  constructor(kv: KV, clock: Clock, logger: Logger) {
    this.#kv = kv
    this.#clock = clock
    this.#logger = logger
  }

  add(prefix: string, watch: CoordinationWatch): () => void {
    const listener = { prefix, watch, isTold: false }
    this.#listeners.add(listener)
    if (!this.#isRunning) void this.#run()
    else this.#clock.soon(() => this.#tellAll(listener))
    return () => void this.#listeners.delete(listener)
  }

  close(): void {
    this.#isClosed = true
    this.#listeners.clear()
    this.#stopCurrent()
  }

  /** The store has acknowledged a write of ours. */
  written(revision: number): void {
    const now = this.#clock.monotonic()
    const awaited = this.#awaited
    if (awaited === null || this.#revisionArrived >= awaited.revision) this.#awaited = { revision, since: now }
    else if (now - awaited.since > silenceMsMax) {
      this.#logger.warn({ awaited }, 'the watch of the coordination store is silent: it is begun anew')
      this.#awaited = null
      this.#stopCurrent()
    }
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    while (!this.#isClosed) {
      try {
        await this.#follow()
      } catch (error) {
        this.#logger.debug({ error }, 'the coordination store cannot be watched')
      }
      this.#arrived = []
      if (!this.#isClosed) await new Promise<void>((resolve) => this.#clock.after(restartMs, resolve))
    }
  }

  /** Until the consumer ends. */
  async #follow(): Promise<void> {
    const entries = await this.#kv.watch()
    this.#stopCurrent = () => entries.stop()
    if (this.#isClosed) return entries.stop()
    this.#isLevel = false
    // An empty bucket tells nothing.
    if ((await this.#kv.status()).values === 0) this.#passOn()
    for await (const entry of entries) {
      this.#revisionArrived = Math.max(this.#revisionArrived, entry.revision)
      this.#arrived.push(entry)
      if (entry.delta === 0) this.#passOn()
    }
  }

  #passOn(): void {
    const arrived = this.#arrived
    this.#arrived = []
    for (const entry of arrived) {
      const { key, revision, operation } = entry
      if (revision <= (this.#known.get(key)?.revision ?? 0)) continue
      const known = { value: operation === 'PUT' ? entry.string() : null, revision }
      this.#known.set(key, known)
      for (const listener of this.#listeners) if (listener.isTold) tell(listener, key, known)
    }
    const wasLevel = this.#isLevel
    this.#isLevel = true
    for (const listener of [...this.#listeners]) {
      if (!listener.isTold) this.#tellAll(listener)
      else if (!wasLevel) listener.watch.current()
    }
  }

  #tellAll(listener: Listener): void {
    if (listener.isTold || !this.#isLevel || !this.#listeners.has(listener)) return
    listener.isTold = true
    for (const [key, known] of this.#known) tell(listener, key, known)
    listener.watch.current()
  }
}

function tell({ prefix, watch }: Listener, key: string, { value, revision }: Known): void {
  if (!key.startsWith(prefix)) return
  if (value === null) watch.removed(key, revision)
  else watch.entry({ key, value, revision })
}
