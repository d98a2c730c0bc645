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
  readonly vhostLimits: readonly { entry: Entry; vhost: string; limits: JsonObject }[]
  readonly exchanges: readonly ExchangeEntry[]
  readonly queues: readonly QueueEntry[]
  readonly bindings: readonly BindingEntry[]
  readonly warnings: readonly string[]
}

interface OfVhost {
  readonly entry: Entry
  readonly vhost: string
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

/** `vhost` is for entries that name none: those of a file that is of one vhost only. */
export function readDefinitions(document: unknown, vhost: string): Definitions {
  if (!isObject(document)) throw new DefinitionsError('the definitions are no object')
  return new Reader(document, vhost).read()
}

class Reader {
  readonly #document: ReadonlyMap<string, unknown>
  readonly #vhost: string
  readonly #warnings: string[] = []

  constructor(document: JsonObject, vhost: string) {
    this.#document = new Map(Object.entries(document))
    this.#vhost = vhost
  }

  read(): Definitions {
    for (const key of this.#document.keys())
      if (!knownKeys.has(key)) this.#warnings.push(`${key} is not known and left out`)
    const version = this.#document.get('rabbitmq_version') ?? this.#document.get('rabbit_version') ?? '4.0.0'
    const parameters = this.#parameters()
    for (const entry of this.#entries('global_parameters')) this.#leaveOut(entry, 'global parameters are not kept')
    return {
      users: this.#entries('users').map((entry) => readUser(entry, String(version))),
      vhosts: this.#entries('vhosts').map(readVhost),
      permissions: this.#entries('permissions').map((entry) => this.#rights(entry)),
      topicPermissions: this.#entries('topic_permissions').map((entry) => this.#topicRights(entry)),
      policies: [...this.#policies(), ...parameters.policies],
      vhostLimits: parameters.limits,
      exchanges: this.#entries('exchanges').flatMap((entry) => this.#exchange(entry)),
      queues: this.#entries('queues').flatMap((entry) => this.#queue(entry)),
      bindings: this.#entries('bindings').flatMap((entry) => this.#binding(entry)),
      warnings: this.#warnings,
    }
  }

  #entries(category: string): Entry[] {
    const list = this.#document.get(category) ?? []
    if (!Array.isArray(list)) throw new DefinitionsError(`${category} is no list`)
    return list.map((value, index) => new Entry(category, index, value))
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

  *#policies(): Generator<PolicyEntry> {
    for (const entry of this.#entries('policies')) {
      const given = {
        pattern: entry.value('pattern'),
        definition: this.#withoutForeignKeys(entry, entry.object('definition')),
        priority: entry.value('priority') ?? 0,
        applyTo: entry.value('apply-to') ?? 'all',
      }
      const policy = { ...this.#home(entry), kind: 'policy' as const, name: entry.text('name'), given }
      if (given.definition !== null) yield policy
    }
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

  #parameters(): { policies: PolicyEntry[]; limits: Definitions['vhostLimits'][number][] } {
    const policies: PolicyEntry[] = []
    const limits: Definitions['vhostLimits'][number][] = []
    for (const entry of this.#entries('parameters')) {
      const component = entry.text('component')
      if (component === 'operator_policy') policies.push(this.#operatorPolicy(entry))
      else if (component === 'vhost-limits') limits.push({ ...this.#home(entry), limits: entry.object('value') })
      else this.#leaveOut(entry, `there is no ${component} here`)
    }
    return { policies, limits }
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

  #exchange(entry: Entry): ExchangeEntry[] {
    const name = entry.text('name')
    if (name === '' || name.startsWith('amq.')) return this.#predeclared(entry)
    return [
      {
        ...this.#home(entry),
        name,
        type: entry.text('type'),
        isDurable: entry.flag('durable', true),
        isAutoDelete: entry.flag('auto_delete', false),
        isInternal: entry.flag('internal', false),
        arguments: tableOfJson(entry, 'arguments'),
      },
    ]
  }

  #queue(entry: Entry): QueueEntry[] {
    const name = entry.text('name')
    if (name === '' || name.startsWith('amq.')) return this.#predeclared(entry)
    const said = tableOfJson(entry, 'arguments')
    const type = queueTypes.find((known) => known === entry.value('type'))
    return [
      {
        ...this.#home(entry),
        name,
        isDurable: entry.flag('durable', true),
        isAutoDelete: entry.flag('auto_delete', false),
        arguments: type === undefined ? said : withDefaultType(said, type),
      },
    ]
  }

  #predeclared(entry: Entry): never[] {
    this.#leaveOut(entry, "what begins with 'amq.' is not made by a file")
    return []
  }

  /** Bindings from the default exchange are there without saying. */
  #binding(entry: Entry): BindingEntry[] {
    const source = entry.text('source')
    if (source === '') return []
    const kind = entry.textOr('destination_type', 'queue')
    if (kind !== 'queue' && kind !== 'exchange') throw entry.wrong(`destination_type has to be queue or exchange`)
    return [
      {
        ...this.#home(entry),
        source,
        destination: entry.text('destination'),
        isToExchange: kind === 'exchange',
        key: entry.textOr('routing_key', ''),
        arguments: tableOfJson(entry, 'arguments'),
      },
    ]
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
