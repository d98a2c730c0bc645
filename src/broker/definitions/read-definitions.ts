import type { FieldTable } from '../../amqp/field-table.ts'
import type { GivenPolicy } from '../policies.ts'
import type { PolicyKind } from '../topology/policy-keys.ts'
import { type QueueType, queueTypes, withDefaultType } from '../topology/queue-arguments.ts'
import { DefinitionsError, Entry, isObject, type JsonObject } from './entry.ts'
import { tableOfJson } from './json-table.ts'
import { readUser, type UserEntry } from './user-entry.ts'

/**
 * RabbitMQ's definitions file as values of ours: everything in it is looked at before anything is done. What is not
 * understood but harmless becomes a warning; what is wrong a `DefinitionsError`.
 */
export interface Definitions {
  readonly users: readonly UserEntry[]
  readonly vhosts: readonly VhostEntry[]
  readonly permissions: readonly RightsEntry[]
  readonly topicPermissions: readonly TopicRightsEntry[]
  readonly policies: readonly PolicyEntry[]
  readonly vhostLimits: readonly LimitsEntry[]
  readonly webhooks: readonly WebhookEntry[]
  readonly globalParameters: readonly GlobalParameterEntry[]
  readonly exchanges: readonly ExchangeEntry[]
  readonly queues: readonly QueueEntry[]
  readonly bindings: readonly BindingEntry[]
  readonly warnings: readonly string[]
}

interface OfVhost {
  readonly entry: Entry
  readonly vhost: string
}

export interface LimitsEntry extends OfVhost {
  readonly limits: JsonObject
}

export interface WebhookEntry extends OfVhost {
  readonly name: string
  readonly given: JsonObject
}

export interface GlobalParameterEntry {
  readonly entry: Entry
  readonly name: string
  /** As in JSON; undefined: missing. */
  readonly value: unknown
}

export interface VhostEntry {
  readonly entry: Entry
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
  readonly defaultQueueType: QueueType | null
  readonly limits: JsonObject
}

export interface RightsEntry extends OfVhost {
  readonly user: string
  readonly patterns: { readonly configure: string; readonly write: string; readonly read: string }
}

export interface TopicRightsEntry extends OfVhost {
  readonly user: string
  readonly permission: { readonly exchange: string; readonly write: string; readonly read: string }
}

export interface PolicyEntry extends OfVhost {
  readonly kind: PolicyKind
  readonly name: string
  readonly given: GivenPolicy
}

export interface ExchangeEntry extends OfVhost {
  readonly name: string
  readonly type: string
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly isInternal: boolean
  readonly arguments: FieldTable
}

export interface QueueEntry extends OfVhost {
  readonly name: string
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly arguments: FieldTable
}

export interface BindingEntry extends OfVhost {
  readonly source: string
  readonly destination: string
  readonly isToExchange: boolean
  readonly key: string
  readonly arguments: FieldTable
}

/** `vhost` is for entries that name none: those of a file that is of one vhost only. In steps, since there may be many. */
export function readDefinitions(document: unknown, vhost: string): Steps<Definitions> {
  if (!isObject(document)) throw new DefinitionsError('the definitions are no object')
  return new Reader(document, vhost).read()
}

type Steps<T> = Generator<void, T>

class Reader {
  readonly #document: ReadonlyMap<string, unknown>
  readonly #vhost: string
  readonly #warnings: string[] = []

  constructor(document: JsonObject, vhost: string) {
    this.#document = new Map(Object.entries(document))
    this.#vhost = vhost
  }

  *read(): Steps<Definitions> {
    for (const key of this.#document.keys())
      if (!knownKeys.has(key)) this.#warnings.push(`${key} is not known and left out`)
    const version = this.#document.get('rabbitmq_version') ?? this.#document.get('rabbit_version') ?? '4.0.0'
    const policies: PolicyEntry[] = []
    const vhostLimits: LimitsEntry[] = []
    const webhooks: WebhookEntry[] = []
    yield* this.#each('policies', (entry) => this.#policy(entry, policies))
    yield* this.#each('parameters', (entry) => this.#parameter(entry, { policies, vhostLimits, webhooks }))
    return {
      users: yield* this.#map('users', (entry) => readUser(entry, String(version))),
      vhosts: yield* this.#map('vhosts', readVhost),
      permissions: yield* this.#map('permissions', (entry) => this.#rights(entry)),
      topicPermissions: yield* this.#map('topic_permissions', (entry) => this.#topicRights(entry)),
      policies,
      vhostLimits,
      webhooks,
      globalParameters: yield* this.#map('global_parameters', readGlobalParameter),
      exchanges: yield* this.#map('exchanges', (entry) => this.#exchange(entry)),
      queues: yield* this.#map('queues', (entry) => this.#queue(entry)),
      bindings: yield* this.#map('bindings', (entry) => this.#binding(entry)),
      warnings: this.#warnings,
    }
  }

  /** What `make` makes of each entry of a category; null: nothing. */
  *#map<T>(category: string, make: (entry: Entry) => T | null): Steps<T[]> {
    const made: T[] = []
    yield* this.#each(category, (entry) => {
      const one = make(entry)
      if (one !== null) made.push(one)
    })
    return made
  }

  *#each(category: string, look: (entry: Entry) => void): Steps<void> {
    const list = this.#document.get(category) ?? []
    if (!Array.isArray(list)) throw new DefinitionsError(`${category} is no list`)
    for (const [index, value] of list.entries()) {
      look(new Entry(category, index, value))
      yield
    }
  }

  #home(entry: Entry): OfVhost {
    return { entry, vhost: entry.textOr('vhost', this.#vhost) }
  }

  #leaveOut(entry: Entry, why: string): void {
    this.#warnings.push(`${entry.where} is left out: ${why}`)
  }

  #rights(entry: Entry): RightsEntry {
    const patterns = { configure: entry.text('configure'), write: entry.text('write'), read: entry.text('read') }
    return { ...this.#home(entry), user: entry.text('user'), patterns }
  }

  #topicRights(entry: Entry): TopicRightsEntry {
    const permission = { exchange: entry.text('exchange'), write: entry.text('write'), read: entry.text('read') }
    return { ...this.#home(entry), user: entry.text('user'), permission }
  }

  // ---------------------------------------------------------------- policies and parameters

  #policy(entry: Entry, policies: PolicyEntry[]): void {
    const given = {
      pattern: entry.value('pattern'),
      definition: this.#withoutForeignKeys(entry, entry.object('definition')),
      priority: entry.value('priority') ?? 0,
      applyTo: entry.value('apply-to') ?? 'all',
    }
    if (given.definition === null) return
    policies.push({ ...this.#home(entry), kind: 'policy', name: entry.text('name'), given })
  }

  /** Mirrors and federations there are none; a policy of which nothing else is left says nothing. */
  #withoutForeignKeys(entry: Entry, definition: JsonObject): JsonObject | null {
    const entries = Object.entries(definition)
    const kept = entries.filter(([key]) => !foreignPolicyKey.test(key))
    if (kept.length === entries.length) return definition
    const left = entries.filter(([key]) => foreignPolicyKey.test(key)).map(([key]) => key)
    if (kept.length === 0) this.#leaveOut(entry, `${left.join(', ')} mean nothing here`)
    else this.#warnings.push(`${entry.where}: ${left.join(', ')} mean nothing here and are left out`)
    return kept.length === 0 ? null : Object.fromEntries(kept)
  }

  #parameter(
    entry: Entry,
    to: {
      readonly policies: PolicyEntry[]
      readonly vhostLimits: LimitsEntry[]
      readonly webhooks: WebhookEntry[]
    },
  ): void {
    const component = entry.text('component')
    if (component === 'operator_policy') to.policies.push(this.#operatorPolicy(entry))
    else if (component === 'vhost-limits') to.vhostLimits.push({ ...this.#home(entry), limits: entry.object('value') })
    else if (component === 'webhook')
      to.webhooks.push({ ...this.#home(entry), name: entry.text('name'), given: entry.object('value') })
    else this.#leaveOut(entry, `there is no ${component} here`)
  }

  #operatorPolicy(entry: Entry): PolicyEntry {
    const value = new Map(Object.entries(entry.object('value')))
    const given = {
      pattern: value.get('pattern'),
      definition: value.get('definition'),
      priority: value.get('priority') ?? 0,
      applyTo: value.get('apply-to') ?? 'all',
    }
    return { ...this.#home(entry), kind: 'operator-policy', name: entry.text('name'), given }
  }

  // ---------------------------------------------------------------- exchanges, queues, bindings

  #exchange(entry: Entry): ExchangeEntry | null {
    const name = entry.text('name')
    if (name === '' || name.startsWith('amq.')) return this.#predeclared(entry)
    return {
      ...this.#home(entry),
      name,
      type: entry.text('type'),
      isDurable: entry.flag('durable', true),
      isAutoDelete: entry.flag('auto_delete', false),
      isInternal: entry.flag('internal', false),
      arguments: tableOfJson(entry, 'arguments'),
    }
  }

  #queue(entry: Entry): QueueEntry | null {
    const name = entry.text('name')
    if (name === '' || name.startsWith('amq.')) return this.#predeclared(entry)
    const said = tableOfJson(entry, 'arguments')
    const type = queueTypes.find((known) => known === entry.value('type'))
    return {
      ...this.#home(entry),
      name,
      isDurable: entry.flag('durable', true),
      isAutoDelete: entry.flag('auto_delete', false),
      arguments: type === undefined ? said : withDefaultType(said, type),
    }
  }

  #predeclared(entry: Entry): null {
    this.#leaveOut(entry, "what begins with 'amq.' is not made by a file")
    return null
  }

  /** Bindings from the default exchange are there without saying. */
  #binding(entry: Entry): BindingEntry | null {
    const source = entry.text('source')
    if (source === '') return null
    const kind = entry.textOr('destination_type', 'queue')
    if (kind !== 'queue' && kind !== 'exchange') throw entry.wrong(`destination_type has to be queue or exchange`)
    return {
      ...this.#home(entry),
      source,
      destination: entry.text('destination'),
      isToExchange: kind === 'exchange',
      key: entry.textOr('routing_key', ''),
      arguments: tableOfJson(entry, 'arguments'),
    }
  }
}

const foreignPolicyKey = /^(ha-|federation-)/

const knownKeys: ReadonlySet<string> = new Set([
  'rabbit_version',
  'rabbitmq_version',
  'product_name',
  'product_version',
  'rabbitmq_definition_format',
  'original_vhost_name',
  'original_cluster_name',
  'explanation',
  'description',
  'metadata',
  'default_queue_type',
  'users',
  'vhosts',
  'permissions',
  'topic_permissions',
  'parameters',
  'global_parameters',
  'policies',
  'queues',
  'exchanges',
  'bindings',
])

function readGlobalParameter(entry: Entry): GlobalParameterEntry {
  return { entry, name: entry.text('name'), value: entry.value('value') }
}

function readVhost(entry: Entry): VhostEntry {
  const metadata = new Entry('metadata', 0, entry.object('metadata'))
  const said = entry.has('description') || entry.has('tags') ? entry : metadata
  const type = entry.value('default_queue_type') ?? metadata.value('default_queue_type') ?? 'undefined'
  const known = queueTypes.find((one) => one === type) ?? null
  if (known === null && type !== 'undefined') throw entry.wrong(`default_queue_type '${String(type)}' is not known`)
  return {
    entry,
    name: entry.text('name'),
    description: said.textOr('description', ''),
    tags: said.words('tags'),
    defaultQueueType: known,
    limits: entry.object('limits'),
  }
}
