import type { ManualClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { SeededRandom } from '../../../src/base/random.ts'
import { LeaseOwners } from '../../../src/cluster/membership/lease-owners.ts'
import { LinkTrouble } from '../../../src/cluster/membership/link-trouble.ts'
import { LinkWatch } from '../../../src/cluster/membership/link-watch.ts'
import { Membership } from '../../../src/cluster/membership/membership.ts'
import { Ownership } from '../../../src/cluster/membership/ownership.ts'
import { type CoordinationFaults, MemoryCoordination, type MemoryStore, noFaults } from './memory-coordination.ts'
import { ModelHost, type ModelLog } from './model-host.ts'
import { NodeClock } from './node-clock.ts'
import type { SimulatedLinks } from './simulated-links.ts'

export interface SimulatedClusterParts {
  readonly world: ManualClock
  readonly random: SeededRandom
  readonly store: MemoryStore
  readonly logs: ReadonlyMap<string, ModelLog>
  readonly links: SimulatedLinks
  /** Of processes that run, by incarnation. */
  readonly running: Set<number>
  /** Lines of all nodes. */
  readonly journal: string[]
}

export interface SimulatedNodeOptions {
  readonly rate?: number
  readonly faults?: CoordinationFaults
  readonly hostMsMax?: number
}

/** One node's membership and ownership, over a store and logs in memory. It lives on over several processes. */
export class SimulatedNode {
  readonly name: string
  /** Of the store as the next process sees it. */
  faults: CoordinationFaults
  readonly #parts: SimulatedClusterParts
  readonly #options: SimulatedNodeOptions
  /** Kept in the data directory. */
  #predecessor: number | null = null
  #incarnationSeen = 0
  #process: SimulatedProcess | null = null

  constructor(name: string, parts: SimulatedClusterParts, options: SimulatedNodeOptions = {}) {
    this.name = name
    this.#parts = parts
    this.#options = options
    this.faults = options.faults ?? noFaults
  }

  get process(): SimulatedProcess | null {
    return this.#process
  }

  get incarnation(): number {
    return this.#predecessor ?? 0
  }

  /** Does nothing while a process runs. A process whose session is lost is followed by another. */
  start(): void {
    if (this.#process !== null) return
    const process = new SimulatedProcess(
      this.name,
      this.#parts,
      { ...this.#options, faults: this.faults },
      {
        predecessor: this.#predecessor,
        incarnationSeen: this.#incarnationSeen,
        remember: (incarnation) => {
          this.#predecessor = incarnation
        },
        saw: (incarnation) => {
          this.#incarnationSeen = Math.max(this.#incarnationSeen, incarnation)
        },
        ended: () => {
          if (this.#process !== process) return
          process.kill()
          this.#process = null
          this.start()
        },
      },
    )
    this.#process = process
    process.start()
  }

  kill(): void {
    this.#process?.kill()
    this.#process = null
  }
}

interface ProcessLife {
  readonly predecessor: number | null
  readonly incarnationSeen: number
  readonly remember: (incarnation: number) => void
  /** Some node has this one. */
  readonly saw: (incarnation: number) => void
  /** Its session is lost. */
  readonly ended: () => void
}

export class SimulatedProcess {
  readonly clock: NodeClock
  readonly coordination: MemoryCoordination
  readonly hosts: readonly ModelHost[]
  membership: Membership | null = null
  ownership: Ownership | null = null
  owners: LeaseOwners | null = null
  /** Its publishers are held back, because it cannot reach who owns shards. */
  isApart = false
  /** Why it could not become a node. */
  failure: unknown = null
  readonly #name: string
  readonly #parts: SimulatedClusterParts
  readonly #life: ProcessLife
  readonly #abort = new AbortController()
  #isDead = false

  constructor(name: string, parts: SimulatedClusterParts, options: SimulatedNodeOptions, life: ProcessLife) {
    const { world, random, store, logs } = parts
    this.#name = name
    this.#parts = parts
    this.#life = life
    this.clock = new NodeClock(world, options.rate)
    this.coordination = new MemoryCoordination(store, this.clock, random, options.faults ?? noFaults)
    // Much at once or a long while: orders that are wrong show.
    const takesMs = () => (random.below(2) === 0 ? 0 : random.below((options.hostMsMax ?? 0) + 1))
    this.hosts = [...logs].map(([shard, log]) => new ModelHost(shard, log, this.clock, takesMs))
  }

  start(): void {
    this.#run().catch((error) => {
      this.failure = error
    })
  }

  kill(): void {
    this.#isDead = true
    if (this.membership !== null) this.#parts.running.delete(this.membership.self.incarnation)
    this.clock.kill()
    this.coordination.kill()
    this.#abort.abort(new Error('killed'))
  }

  /** It would answer a client or deliver to it, were it to do so now. */
  serves(host: ModelHost): boolean {
    return !this.#isDead && host.isOpen && (this.membership?.isCurrent ?? false)
  }

  async #run(): Promise<void> {
    const { clock, coordination, hosts } = this
    const node = { name: this.#name, host: '127.0.0.1', port: 4370, version: '0.1.0' }
    const { predecessor, incarnationSeen } = this.#life
    const remember = async (incarnation: number) => this.#life.remember(incarnation)
    const { signal } = this.#abort
    const common = { coordination, clock, logger: silentLogger }
    const membership = await Membership.start({ ...common, signal, node, predecessor, incarnationSeen, remember })
    if (this.#isDead) return
    const journal = (line: string) => void this.#parts.journal.push(line)
    const watch = this.#watchLinks(membership)
    const ready = async () => {
      await new Promise<void>((resolve) => clock.after(100, resolve))
      await watch.majorityLinked()
    }
    const ownership = new Ownership({ ...common, membership, hosts, ready, journal })
    this.membership = membership
    this.ownership = ownership
    this.owners = new LeaseOwners(membership.view, [...this.#parts.logs.keys()])
    ownership.start()
    new LinkTrouble({
      ...{ clock, watch, members: membership, logger: silentLogger },
      reach: () => ownership.reach,
      owners: () => ownership.ownersNow(),
      changed: (isApart) => {
        this.isApart = isApart
      },
      isolated: () => void this.#beginAnew(membership, ownership),
    }).start()
    membership.listen({
      membersChanged: () => {
        for (const { incarnation } of membership.live.values()) this.#life.saw(incarnation)
      },
      currentChanged: () => {},
      sessionLost: () => this.#life.ended(),
    })
  }

  /** Linked to all that run and that it is not cut from. */
  #watchLinks(membership: Membership): LinkWatch {
    const { links, running } = this.#parts
    running.add(membership.self.incarnation)
    return new LinkWatch({
      clock: this.clock,
      members: membership,
      isLinked: ({ name, incarnation }) => running.has(incarnation) && !links.areCut(this.#name, name),
    })
  }

  async #beginAnew(membership: Membership, ownership: Ownership): Promise<void> {
    await ownership.stop()
    await membership.stop()
    this.#life.ended()
  }
}
