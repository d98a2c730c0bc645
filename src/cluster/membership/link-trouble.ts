/**
 * What a node does when links between nodes are missing while NATS goes on, as with a wrong rule of a firewall.
 *
 * Shards move by themselves to nodes that all reach (`reach.ts`). A node that a majority cannot reach gives over what it has
 * and then begins anew: it lets clients in again when it has links, so they go to other nodes meanwhile, and nothing waits for
 * what it knows. As long as a node misses the link to one that owns shards, its publishers are held back.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Member } from '../members.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { type LinkWatch, relinkedMsMin, unlinkedMsMax } from './link-watch.ts'
import type { Reach } from './reach.ts'

export interface LinkTroubleParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly watch: LinkWatch
  readonly members: { readonly self: NodeIdentity; readonly live: ReadonlyMap<string, Member> }
  reach(): Reach
  /** The nodes that own shards, as far as this one knows, by name. */
  owners(): ReadonlyMap<string, NodeIdentity>
  /** This node misses the link to an owner of shards, or has it again: till then its publishers are held back. */
  changed(isApart: boolean): void
  /** This node is of no use: it must begin anew. Last call. */
  isolated(reason: string): void
}

/** How long a node that nobody reaches waits until it has given over what it has, in milliseconds. */
const giveOverMsMax = 15_000
const lookMs = 500

export class LinkTrouble {
  readonly #parts: LinkTroubleParts
  #timer: Timer | null = null
  #hasBeenLinked = false
  #isolatedSince: number | null = null
  #isApart = false
  /** Pairs, as text. */
  #said: ReadonlySet<string> = new Set()

  constructor(parts: LinkTroubleParts) {
    this.#parts = parts
  }

  start(): void {
    void this.#parts.watch.majorityLinked().then(() => {
      this.#hasBeenLinked = true
    })
    this.#parts.watch.start()
    this.#arm()
  }

  stop(): void {
    this.#parts.watch.stop()
    this.#timer?.cancel()
    this.#timer = null
  }

  #arm(): void {
    this.#timer = this.#parts.clock.after(lookMs, () => {
      this.#arm()
      this.#look()
    })
  }

  #look(): void {
    const { members, reach: reachNow, owners, changed, watch } = this.#parts
    const reach = reachNow()
    const { name } = members.self
    this.#say(reach)
    const isApart = [...owners().values()].some((owner) => watch.isMissed(owner))
    if (isApart !== this.#isApart) {
      this.#isApart = isApart
      changed(isApart)
    }
    this.#leaveIfIsolated(reach.isolated.has(name))
  }

  #leaveIfIsolated(isIsolated: boolean): void {
    const { clock, members, owners, isolated } = this.#parts
    const now = clock.monotonic()
    this.#isolatedSince = isIsolated ? (this.#isolatedSince ?? now) : null
    // A link that is back does not count for a while; this node is of use all the same.
    if (this.#isolatedSince === null || !this.#hasBeenLinked || this.#parts.watch.isOfMajority) return
    if (owners().has(members.self.name) && now - this.#isolatedSince < giveOverMsMax) return
    this.stop()
    isolated('a majority of the nodes cannot reach this one by its link')
  }

  /** For people: which two, and what to look at. */
  #say({ apart }: Reach): void {
    const { logger, members } = this.#parts
    const news = apart.filter((pair) => !this.#said.has(pair.join()))
    if (apart.length === 0 && this.#said.size > 0) logger.info({}, 'all nodes that live are linked to each other again')
    this.#said = new Set(apart.map((pair) => pair.join()))
    for (const pair of news) logger.error({ nodes: pair }, sentenceOf(pair, members.live))
  }
}

function sentenceOf([one, other]: readonly [string, string], live: ReadonlyMap<string, Member>): string {
  const { host, port } = live.get(other) ?? { host: '?', port: 0 }
  return `nodes '${one}' and '${other}' have had no link for ${unlinkedMsMax / 1000} s: '${one}' must reach TCP ${host}:${port}, look at firewalls; they count as linked again ${relinkedMsMin / 1000} s after the link is back, later if it keeps breaking`
}
