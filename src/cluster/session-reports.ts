/**
 * What each node tells the others of connections and channels that a limit counts: of vhosts and users with a limit, and
 * only what has changed, four times a second. So limits hold over the whole cluster, but for what is opened at several
 * nodes within that time and the time on the way. What a node has said counts until its session is over, also while the link to it is
 * down: nobody gets room by cutting nodes off from one another, and the dead count nothing.
 */
import { ByteReader } from '../amqp/byte-reader.ts'
import type { ByteWriter } from '../amqp/byte-writer.ts'
import { encodeShortString } from '../amqp/short-string.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { RunQueue } from '../base/run-queue.ts'
import { inSlices } from '../base/sliced.ts'
import type { LimitedCount, OtherCounts } from '../broker/session-counts.ts'
import { type ManagementLink, type ToldHandler, toldBytesMax } from './management-link.ts'
import type { Members } from './members.ts'
import type { Peer } from './peers.ts'

export interface SessionReportsParts {
  readonly link: ManagementLink
  readonly members: Members
  readonly clock: Clock
  readonly runQueue: RunQueue
  /** What is open here. */
  limited(): Iterable<LimitedCount>
}

/** How old at most what is told may be when it leaves, in milliseconds. */
export const sessionReportMs = 250

interface Count {
  readonly connections: number
  readonly channels: number
}

const kinds = ['vhost', 'user'] as const
const none: Count = { connections: 0, channels: 0 }

export class SessionReports implements OtherCounts, ToldHandler {
  readonly #parts: SessionReportsParts
  readonly #reader = new ByteReader()
  /** What all nodes that are linked have been told, by `keyOf`. */
  #said = new Map<string, LimitedCount>()
  readonly #new = new Set<Peer>()
  /** What others have told, by incarnation, by `keyOf`. */
  readonly #told = new Map<number, Map<string, Count>>()
  /** The same added up. */
  readonly #sums = new Map<string, Count>()
  #timer: Timer | null = null

  /** Before the links start. */
  constructor(parts: SessionReportsParts) {
    this.#parts = parts
    parts.link.hear('sessions', this)
  }

  start(): void {
    const { clock, runQueue } = this.#parts
    this.#timer = clock.after(sessionReportMs, () => {
      void inSlices(runQueue, this.#tell()).then(() => {
        if (this.#timer !== null) this.start()
      })
    })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  // ---------------------------------------------------------------- what others have

  connections(kind: LimitedCount['kind'], name: string): number {
    return this.#sums.get(keyOf(kind, name))?.connections ?? 0
  }

  channels(username: string): number {
    return this.#sums.get(keyOf('user', username))?.channels ?? 0
  }

  told(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader.reset(bytes, start, end)
    // Its session is over, and this came after all: it must not count for ever.
    if (this.#parts.members.live.get(peer.name)?.incarnation !== peer.incarnation) return
    if (reader.uint8() === 1) this.#forget(peer.incarnation)
    const counts = this.#told.get(peer.incarnation) ?? new Map<string, Count>()
    this.#told.set(peer.incarnation, counts)
    while (reader.remaining > 0) {
      const kind = kinds[reader.uint8()] ?? 'user'
      const count = { connections: reader.uint32(), channels: reader.uint32() }
      this.#set(counts, keyOf(kind, reader.shortString()), count)
    }
  }

  #set(counts: Map<string, Count>, key: string, count: Count): void {
    const before = counts.get(key) ?? none
    const sum = this.#sums.get(key) ?? none
    const connections = sum.connections + count.connections - before.connections
    const channels = sum.channels + count.channels - before.channels
    keep(this.#sums, key, { connections, channels })
    keep(counts, key, count)
  }

  #forget(incarnation: number): void {
    const counts = this.#told.get(incarnation)
    if (counts === undefined) return
    for (const key of [...counts.keys()]) this.#set(counts, key, none)
    this.#told.delete(incarnation)
  }

  /** What nodes said whose session is over counts no more. */
  membersChanged(): void {
    const live = new Set([...this.#parts.members.live.values()].map(({ incarnation }) => incarnation))
    for (const incarnation of [...this.#told.keys()]) if (!live.has(incarnation)) this.#forget(incarnation)
  }

  // ---------------------------------------------------------------- what is here

  *#tell(): Generator<void, void> {
    const { link, limited } = this.#parts
    const now = new Map<string, LimitedCount>()
    for (const count of limited()) {
      now.set(keyOf(count.kind, count.name), count)
      yield
    }
    const news = [...this.#new]
    const others = [...link.peers].filter((peer) => !this.#new.has(peer))
    this.#send(others, this.#changesTo(now), false)
    this.#send(news, now.values(), true)
    for (const peer of news) this.#new.delete(peer)
    this.#said = now
  }

  *#changesTo(now: ReadonlyMap<string, LimitedCount>): Generator<LimitedCount> {
    for (const [key, count] of now) if (!isSame(count, this.#said.get(key))) yield count
    for (const [key, before] of this.#said) if (!now.has(key)) yield { ...before, ...none }
  }

  /** `isAll`: a node that has been told nothing yet is told also that there is nothing. */
  #send(peers: readonly Peer[], counts: Iterable<LimitedCount>, isAll: boolean): void {
    if (peers.length === 0) return
    const { link } = this.#parts
    const writer = link.writer('sessions')
    writer.uint8(isAll ? 1 : 0)
    let isDue = isAll
    for (const count of counts) {
      write(writer, count)
      isDue = true
      if (writer.length < toldBytesMax) continue
      for (const peer of peers) link.tell(peer, writer)
      link.begin(writer, 'sessions').uint8(0)
      isDue = false
    }
    if (isDue) for (const peer of peers) link.tell(peer, writer)
  }

  up(peer: Peer): void {
    this.#new.add(peer)
  }

  /** What it said still counts: its session may go on. */
  down(peer: Peer): void {
    this.#new.delete(peer)
  }
}

function keyOf(kind: LimitedCount['kind'], name: string): string {
  return `${kind} ${name}`
}

function isSame(one: Count, other: Count | undefined): boolean {
  return one.connections === other?.connections && one.channels === other.channels
}

function keep(counts: Map<string, Count>, key: string, count: Count): void {
  if (count.connections === 0 && count.channels === 0) counts.delete(key)
  else counts.set(key, count)
}

function write(writer: ByteWriter, { kind, name, connections, channels }: LimitedCount): void {
  writer.uint8(kinds.indexOf(kind))
  writer.uint32(connections)
  writer.uint32(channels)
  encodeShortString(writer, name)
}
