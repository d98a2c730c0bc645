import { Pattern } from '../access/pattern.ts'
import type { StoredRecord } from './live-records.ts'
import { type PolicyKind, type PolicyValues, policyKeys } from './policy-keys.ts'
import type { QueueType } from './queue-arguments.ts'
import type { VhostState } from './vhost-state.ts'

/** Gives queues or exchanges whose names fit a pattern settings they were not declared with. */
export class Policy {
  readonly kind: PolicyKind
  readonly id: number
  readonly home: VhostState
  readonly name: string
  /** As written. Matched anywhere in a name; empty: any name. */
  readonly pattern: string
  readonly applyTo: ApplyTo
  readonly priority: number
  readonly values: PolicyValues
  stored: StoredRecord | null = null
  readonly #names: Pattern
  readonly #kinds: ReadonlySet<Matched>

  constructor(kind: PolicyKind, id: number, home: VhostState, properties: PolicyProperties) {
    this.kind = kind
    this.id = id
    this.home = home
    this.name = properties.name
    this.pattern = properties.pattern
    this.applyTo = properties.applyTo
    this.priority = properties.priority
    this.values = properties.values
    this.#names = policyPattern(properties.pattern)
    this.#kinds = matchedBy(properties)
  }

  /** Whether a queue of this type, or an exchange, of this name is one it is for. */
  matches(kind: Matched, name: string): boolean {
    return this.#kinds.has(kind) && this.#names.matches(name)
  }
}

export interface PolicyProperties {
  readonly name: string
  readonly pattern: string
  readonly applyTo: ApplyTo
  /** The highest of those that match wins; of equals the one whose name comes first. */
  readonly priority: number
  readonly values: PolicyValues
}

export const applyTos = ['queues', 'classic_queues', 'quorum_queues', 'streams', 'exchanges', 'all'] as const
export type ApplyTo = (typeof applyTos)[number]

/** What a policy may match. */
export type Matched = QueueType | 'exchange'

export function policyPattern(text: string): Pattern {
  return new Pattern(text === '' ? '^' : text)
}

const reach: Readonly<Record<ApplyTo, readonly Matched[]>> = {
  queues: ['classic', 'quorum', 'stream'],
  classic_queues: ['classic'],
  quorum_queues: ['quorum'],
  streams: ['stream'],
  exchanges: ['exchange'],
  all: ['classic', 'quorum', 'stream', 'exchange'],
}

/** A policy with a key that means nothing to a kind of queue does not apply to queues of that kind at all. */
function matchedBy({ applyTo, values }: PolicyProperties): ReadonlySet<Matched> {
  const matched = new Set(reach[applyTo])
  for (const key of values.keys()) {
    const only = policyKeys.get(key)?.only
    if (only === 'queues') matched.delete('stream')
    if (only !== 'streams') continue
    matched.delete('classic')
    matched.delete('quorum')
  }
  return matched
}
