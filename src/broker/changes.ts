import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Position } from '../log/log.ts'
import { hashPassword } from './access/password-hash.ts'
import { Administration } from './administration.ts'
import { DefinitionsError } from './definitions/entry.ts'
import { importDefinitions } from './definitions/import-definitions.ts'
import { BrokerError } from './errors.ts'
import type { Reply } from './ports.ts'
import { RemoveQueues } from './topology/remove-queues.ts'
import type { Topology } from './topology/topology.ts'
import type { VhostState } from './topology/vhost-state.ts'
import type { ChangeResult, TopologyAuthority, TopologyChange } from './topology-authority.ts'
import { bind, declareExchange, declareQueue, type Made, remove } from './vhost-changes.ts'

/**
 * Makes changes of the topology where it is written: the authority of a node on its own, and in a cluster what the owner
 * does for all. As a rule a change is made, and answered, within the call.
 */
export class TopologyChanges implements TopologyAuthority {
  readonly #parts: TopologyChangesParts
  readonly #administration: Administration
  /** Vhosts that are being deleted, and who wants to know. */
  readonly #deletions = new Map<VhostState, Reply<ChangeResult>[]>()

  constructor(parts: TopologyChangesParts) {
    this.#parts = parts
    this.#administration = new Administration(parts.topology)
  }

  ask(change: TopologyChange, reply: Reply<ChangeResult>): void {
    let made: Made | null
    try {
      made = this.#make(change, reply)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      reply.failed(error)
      return
    }
    if (made !== null) reply.done(made.isNew ? newResult : plainResult, made.position)
  }

  /** Null: it takes longer. */
  #make(change: TopologyChange, reply: Reply<ChangeResult>): Made | null {
    const { topology } = this.#parts
    if ('by' in change && change.by.state.isClosed) {
      throw new BrokerError('not-allowed', `vhost ${change.by.state.name} not found`)
    }
    switch (change.kind) {
      case 'declare-exchange':
        return declareExchange(topology, change)
      case 'declare-queue':
        return declareQueue(topology, change)
      case 'bind':
        return bind(topology, change)
      case 'remove':
        return { isNew: false, position: remove(topology, change) }
      case 'close-session':
        this.#closeSession(change.session, reply)
        return null
      case 'delete-vhost':
        this.#deleteVhost(change.name, reply)
        return null
      case 'import-definitions':
        void this.#import(change.document, change.vhost, reply)
        return null
      default:
        return { isNew: false, position: this.#administration.execute(change) }
    }
  }

  #closeSession(session: number, reply: Reply<ChangeResult>): void {
    const { topology, logger } = this.#parts
    const done = (error: BrokerError | null): void => {
      if (error === null) reply.done(plainResult, topology.pending)
      else reply.failed(error)
    }
    topology.runQueue.add(new RemoveQueues(topology, topology.exclusiveQueuesOf(session), logger, done))
  }

  /** At once nobody can open or use it; its queues go in slices, then itself. */
  #deleteVhost(name: string, reply: Reply<ChangeResult>): void {
    const { topology, logger } = this.#parts
    const state = topology.vhosts.get(name)
    const deletion = state === undefined ? undefined : this.#deletions.get(state)
    if (deletion !== undefined) {
      deletion.push(reply)
      return
    }
    const vhost = this.#administration.vhost(name)
    this.#deletions.set(vhost, [reply])
    setClosed(vhost, true)
    const done = (error: BrokerError | null): void => this.#queuesDeleted(vhost, error)
    topology.runQueue.add(new RemoveQueues(topology, vhost.queues.values(), logger, done))
  }

  #queuesDeleted(vhost: VhostState, failure: BrokerError | null): void {
    const replies = this.#deletions.get(vhost) ?? []
    this.#deletions.delete(vhost)
    let position: Position = 0
    let error = failure
    try {
      if (error === null) position = this.#parts.topology.removeVhost(vhost)
    } catch (thrown) {
      if (!(thrown instanceof BrokerError)) throw thrown
      error = thrown
    }
    if (error !== null) setClosed(vhost, false)
    for (const reply of replies) {
      if (error === null) reply.done(plainResult, position)
      else reply.failed(error)
    }
  }

  async #import(document: unknown, vhost: string, reply: Reply<ChangeResult>): Promise<void> {
    const { topology, random, logger } = this.#parts
    const hash = (password: string): Promise<string> => hashPassword(password, random)
    const parts = { administration: this.#administration, topology, hash }
    try {
      const { position, warnings } = await importDefinitions(parts, document, vhost)
      reply.done({ ...plainResult, warnings }, position)
    } catch (error) {
      if (error instanceof DefinitionsError) reply.done({ ...plainResult, refusal: error.message }, topology.pending)
      else if (error instanceof BrokerError) reply.failed(error)
      else {
        logger.error({ error }, 'definitions could not be imported')
        reply.failed(new BrokerError('internal-error', 'the definitions could not be imported'))
      }
    }
  }
}

export interface TopologyChangesParts {
  readonly topology: Topology
  readonly random: Random
  readonly logger: Logger
}

const plainResult: ChangeResult = { isNew: false, warnings: [], refusal: null }
const newResult: ChangeResult = { ...plainResult, isNew: true }

function setClosed(vhost: VhostState, isClosed: boolean): void {
  vhost.isClosed = isClosed
  vhost.version++
}
