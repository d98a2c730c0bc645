import { inSlices } from '../../base/sliced.ts'
import type { Position } from '../../log/log.ts'
import { topicRow } from '../access/authorise.ts'
import { nobodysPasswordHash } from '../access/password-hash.ts'
import type { Administration } from '../administration.ts'
import { BrokerError } from '../errors.ts'
import { bindingIdentity } from '../topology/binding.ts'
import { checkSameExchange, checkSameQueue } from '../topology/equivalence.ts'
import type { Topology } from '../topology/topology.ts'
import type { VhostState } from '../topology/vhost-state.ts'
import * as rules from '../vhost-rules.ts'
import { keepsSecrets } from '../webhooks.ts'
import { DefinitionsError, type Entry, isObject } from './entry.ts'
import {
  type BindingEntry,
  type Definitions,
  type ExchangeEntry,
  type QueueEntry,
  type RightsEntry,
  readDefinitions,
  type TopicRightsEntry,
  type VhostEntry,
  type WebhookEntry,
} from './read-definitions.ts'
import type { UserEntry } from './user-entry.ts'

export interface Imported {
  /** What must be committed before anyone is told; 0: nothing. */
  readonly position: Position
  /** Sentences: what was left out, and what is there in another form and was kept. */
  readonly warnings: readonly string[]
}

export interface ImportParts {
  readonly administration: Administration
  readonly topology: Topology
  readonly hash: (password: string) => Promise<string>
}

/**
 * Makes what a definitions file says and is not there yet, in slices. Users, rights, policies, parameters and limits become what
 * the file says; vhosts, exchanges, queues and bindings are made if they are missing and never changed. So it may be done
 * again and again. Entries that are no definitions at all are found before anything is done; one that cannot be made
 * ends the import with a `DefinitionsError`, and what stood before it has been made.
 */
export async function importDefinitions(parts: ImportParts, document: unknown, vhost: string): Promise<Imported> {
  const { runQueue } = parts.topology
  const definitions = await inSlices(runQueue, readDefinitions(document, vhost))
  const hashes = new Map<UserEntry, string>()
  for (const user of definitions.users) hashes.set(user, await hashOf(parts, user))
  const making = new Import(parts, definitions, hashes)
  await inSlices(runQueue, making.steps())
  return { position: parts.topology.pending, warnings: making.warnings }
}

async function hashOf({ hash }: ImportParts, { passwordHash, password }: UserEntry): Promise<string> {
  if (password !== null) return await hash(password)
  return passwordHash ?? nobodysPasswordHash
}

/** Nobody's rights are asked for: who may import may do all of it. */
const allRights = { authorise: (): void => {} }

class Import {
  readonly warnings: string[]
  readonly #administration: Administration
  readonly #topology: Topology
  readonly #definitions: Definitions
  readonly #hashes: ReadonlyMap<UserEntry, string>

  constructor(
    { administration, topology }: ImportParts,
    definitions: Definitions,
    hashes: ReadonlyMap<UserEntry, string>,
  ) {
    this.warnings = [...definitions.warnings]
    this.#administration = administration
    this.#topology = topology
    this.#definitions = definitions
    this.#hashes = hashes
  }

  /** What others need comes first. */
  *steps(): Generator<void, void> {
    const { users, vhosts, permissions, topicPermissions, exchanges } = this.#definitions
    const { policies, vhostLimits, webhooks, globalParameters, queues, bindings } = this.#definitions
    yield* this.#each(users, (user) => this.#user(user))
    yield* this.#each(vhosts, (vhost) => this.#vhost(vhost))
    yield* this.#each(permissions, (rights) => this.#rights(rights))
    yield* this.#each(topicPermissions, (rights) => this.#topicRights(rights))
    yield* this.#each(exchanges, (exchange) => this.#exchange(exchange))
    yield* this.#each(policies, ({ vhost, name, given: policy, kind: policyKind }) =>
      this.#administration.execute({ kind: 'put-policy', policyKind, vhost, name, policy }),
    )
    yield* this.#each(vhostLimits, ({ vhost, limits }) =>
      this.#administration.execute({ kind: 'put-vhost-limits', vhost, limits }),
    )
    yield* this.#each(webhooks, (webhook) => this.#webhook(webhook))
    yield* this.#each(globalParameters, ({ name, value }) =>
      this.#administration.execute({ kind: 'put-global-parameter', name, value }),
    )
    yield* this.#each(queues, (queue) => this.#queue(queue))
    yield* this.#each(bindings, (binding) => this.#binding(binding))
  }

  *#each<T extends { entry: Entry }>(entries: readonly T[], make: (entry: T) => unknown): Generator<void, void> {
    for (const entry of entries) {
      try {
        make(entry)
      } catch (error) {
        // That nothing can be stored at the moment is no fault of the entry.
        const isOurs = error instanceof BrokerError && error.kind === 'internal-error'
        if (error instanceof BrokerError && !isOurs)
          throw entry.entry.wrong(error.message.trim().replaceAll(/\n+/g, ': '))
        throw error
      }
      yield
    }
  }

  #user(user: UserEntry): void {
    const { name, tags, limits } = user
    const known = this.#topology.users.get(name)
    const hash = this.#hashes.get(user) ?? nobodysPasswordHash
    // A hash that was made stronger at a login stands for what the file still says.
    if (
      known === undefined ||
      (known.upgradedFrom !== hash && known.passwordHash !== hash) ||
      isOther(tags, known.tags)
    ) {
      const passwordHash = known?.upgradedFrom === hash ? known.passwordHash : hash
      this.#administration.execute({ kind: 'put-user', name, passwordHash, tags })
    }
    if (Object.keys(limits).length === 0) return
    this.#administration.execute({ kind: 'put-user-limits', username: name, limits })
  }

  #vhost({ name, description, tags, defaultQueueType, limits }: VhostEntry): void {
    this.#administration.execute({ kind: 'create-vhost', name })
    const { metadata } = this.#topology.vhosts.get(name) ?? {}
    const isSaid = description !== '' || tags.length > 0 || defaultQueueType !== null
    if (isSaid || (metadata !== undefined && metadata !== null)) {
      const properties = { description, tags, defaultQueueType }
      this.#administration.execute({ kind: 'put-vhost-metadata', vhost: name, properties })
    }
    if (Object.keys(limits).length === 0) return
    this.#administration.execute({ kind: 'put-vhost-limits', vhost: name, limits })
  }

  #rights({ user, vhost, patterns }: RightsEntry): void {
    const known = this.#topology.vhosts.get(vhost)?.permissions.get(user)
    const isKnown = (['configure', 'write', 'read'] as const).every((right) => known?.[right].text === patterns[right])
    if (!isKnown) this.#administration.execute({ kind: 'put-permission', username: user, vhost, patterns })
  }

  #topicRights({ user, vhost, permission }: TopicRightsEntry): void {
    const known = this.#topology.vhosts.get(vhost)?.topicPermissions.get(topicRow(user, permission.exchange))
    if (known?.writeText === permission.write && known.readText === permission.read) return
    this.#administration.execute({ kind: 'put-topic-permission', username: user, vhost, permission })
  }

  #exchange({ entry, vhost, ...args }: ExchangeEntry): void {
    const state = this.#state(vhost)
    const properties = rules.exchangeProperties(args.name, { ...args, isPassive: false })
    const known = state.exchanges.get(args.name)
    if (known !== undefined) return this.#keep(entry, () => checkSameExchange(known, properties))
    rules.checkNewExchange(state, properties, allRights)
    rules.checkRoom(this.#topology, properties.isDurable)
    this.#topology.declareExchange(state, properties)
  }

  #queue({ entry, vhost, ...args }: QueueEntry): void {
    const state = this.#state(vhost)
    const properties = { ...args, exclusiveOwner: null }
    const known = state.queues.get(args.name)
    if (known !== undefined) return this.#keep(entry, () => checkSameQueue(known, properties))
    rules.checkNewQueue(state, properties, { rights: allRights, isServerNamed: false })
    rules.checkRoom(this.#topology, properties.isDurable)
    this.#topology.declareQueue(state, properties)
  }

  #binding({ vhost, source, destination, isToExchange, key, arguments: table }: BindingEntry): void {
    const state = this.#state(vhost)
    const from = rules.existingExchange(state, source)
    const to = isToExchange ? rules.existingExchange(state, destination) : rules.existingQueue(state, destination)
    const ends = { source: from, destination: to, key, arguments: table }
    if (from.outgoing.has(bindingIdentity(ends))) return
    rules.checkNewBinding(state, ends)
    rules.checkRoom(this.#topology, from.isDurable && to.isDurable)
    this.#topology.bind(ends)
  }

  /** Exports hold no secrets: a webhook that is there keeps its own, one that is not cannot be made. */
  #webhook({ entry, vhost, name, given }: WebhookEntry): void {
    const known = this.#state(vhost).webhooks.get(name)
    if (typeof given['secret'] === 'string' || (known !== undefined && keepsSecrets(known, given))) {
      const headers = hasTexts(given['headers']) ? given['headers'] : null
      this.#administration.execute({ kind: 'put-webhook', vhost, name, given: { ...given, headers } })
    } else this.warnings.push(`${entry.where} is left out: a webhook needs its secret, which no export holds`)
  }

  /** What is there stays as it is. */
  #keep(entry: Entry, check: () => void): void {
    try {
      check()
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      this.warnings.push(`${entry.where} is there in another form and was kept: ${error.message}`)
    }
  }

  #state(vhost: string): VhostState {
    const state = this.#topology.vhosts.get(vhost)
    if (state === undefined || state.isClosed) throw new BrokerError('not-found', `no vhost '${vhost}'`)
    return state
  }
}

function isOther(tags: readonly string[], current: readonly string[]): boolean {
  return JSON.stringify(tags) !== JSON.stringify(current)
}

/** A file longer than this is refused, in bytes. */
export const definitionsBytesMax = 64 * 1024 * 1024

/** The document in a definitions file. Throws `DefinitionsError`. */
export function parseDefinitions(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new DefinitionsError(`the definitions are no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Of headers an export has the names only. */
function hasTexts(headers: unknown): boolean {
  return isObject(headers) && Object.values(headers).every((text) => text !== null)
}
