/**
 * Stands in for the topology: queues come and go at once, and their records are stored some time later. A crash forgets
 * what was not stored, or some of it.
 */
import { emptyTable } from '../../src/amqp/field-table.ts'
import type { SeededRandom } from '../../src/base/random.ts'
import type { ShardTopology } from '../../src/broker/ports.ts'
import { plainSettings } from '../../src/broker/queue/queue-settings.ts'
import type { LocalShards } from '../../src/broker/shard/local-shards.ts'
import type { QueueDefinition } from '../../src/broker/topology/queue-definition.ts'
import type { SimulatedClock } from './simulated-process.ts'

const commitMsMax = [300, 5_000] as const

interface Operation {
  readonly kind: 'declare' | 'delete'
  readonly id: number
  readonly name: string
}

export class SimulatedTopology implements ShardTopology {
  readonly #random: SeededRandom
  readonly #commitMsMax: number
  readonly #operations: Operation[] = []
  #count = 0
  /** As seen by the process that runs. */
  readonly queues = new Map<number, QueueDefinition>()
  committed = 0
  #clock: SimulatedClock | null = null
  #shards: LocalShards | null = null

  constructor(random: SeededRandom) {
    this.#random = random
    this.#commitMsMax = commitMsMax[random.below(2)] ?? 0
  }

  /** Positions begin at 1. */
  get appended(): number {
    return this.#operations.length
  }

  /** A process begins: it knows the durable queues that are stored. */
  begin(clock: SimulatedClock, shards: LocalShards): void {
    this.#clock = clock
    this.#shards = shards
    this.queues.clear()
    for (const { kind, id, name } of this.#operations) {
      if (kind === 'delete') this.queues.delete(id)
      else this.queues.set(id, definitionOf(id, name, true))
    }
    for (const definition of this.queues.values()) definition.queue = shards.open(definition)
  }

  /** What is stored of the last operations is chance. Returns the ids of queues that are there (again). */
  crash(): ReadonlySet<number> {
    const kept = this.committed + this.#random.below(this.appended - this.committed + 1)
    this.#operations.length = kept
    return this.stop()
  }

  /** Everything is stored. */
  stop(): ReadonlySet<number> {
    this.committed = this.appended
    const ids = new Set<number>()
    for (const { kind, id } of this.#operations) {
      if (kind === 'delete') ids.delete(id)
      else ids.add(id)
    }
    return ids
  }

  /** Whether a durable queue's declaration is stored. */
  isStored(id: number): boolean {
    return this.#operations.findIndex((one) => one.kind === 'declare' && one.id === id) < this.committed
  }

  declare(isDurable: boolean): QueueDefinition {
    const id = 2 ** 32 + ++this.#count
    const definition = definitionOf(id, `${isDurable ? 'durable' : 'transient'}-${this.#count}`, isDurable)
    this.queues.set(id, definition)
    if (isDurable) this.#append({ kind: 'declare', id, name: definition.name })
    definition.queue = this.#shards?.open(definition) ?? null
    return definition
  }

  delete(definition: QueueDefinition): void {
    this.queues.delete(definition.id)
    if (definition.isDurable) this.#append({ kind: 'delete', id: definition.id, name: definition.name })
    if (definition.queue !== null) this.#shards?.drop(definition.queue)
  }

  reroute(): boolean {
    return false
  }

  expireQueue(): void {}

  #append(operation: Operation): void {
    this.#operations.push(operation)
    const position = this.appended
    const shards = this.#shards
    this.#clock?.after(this.#random.below(this.#commitMsMax), () => {
      if (shards !== this.#shards || position <= this.committed) return
      this.committed = position
      shards?.topologyCommitted()
    })
  }
}

function definitionOf(id: number, name: string, isDurable: boolean): QueueDefinition {
  return {
    id,
    vhost: '/',
    name,
    isDurable,
    isAutoDelete: false,
    exclusiveOwner: null,
    shardId: 0,
    arguments: emptyTable,
    settings: plainSettings,
    queue: null,
    counts: null,
  }
}
