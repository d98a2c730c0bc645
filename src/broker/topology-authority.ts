/**
 * Changes of what exists, as plain values: a node makes them itself, or has the node make them that owns the topology.
 */
import type { SessionRights } from './access/authorise.ts'
import type { BindArguments, ExchangeArguments, Principal, QueueArguments } from './commands.ts'
import type { JsonObject } from './definitions/entry.ts'
import type { GivenPolicy } from './policies.ts'
import type { Reply } from './ports.ts'
import type { PolicyKind } from './topology/policy-keys.ts'
import type { Patterns } from './topology/topology.ts'
import type { VhostProperties } from './topology/vhost-rows.ts'
import type { VhostState } from './topology/vhost-state.ts'

/** Where changes of the topology are made. */
export interface TopologyAuthority {
  /**
   * Has a change made. The reply comes once this node knows it, perhaps before the call returns; its position is what
   * the answer to a client waits for. Refusals are `BrokerError`s, thrown or given to the reply, the same on every node.
   */
  ask(change: TopologyChange, reply: Reply<ChangeResult>): void
}

/** For those who only want to know that it was done. */
export function withoutResult(reply: Reply<void>): Reply<ChangeResult> {
  return withResult(reply, undefined)
}

/** For those who want to know whether it was not there before. */
export function withNews(reply: Reply<boolean>): Reply<ChangeResult> {
  return { done: ({ isNew }, position) => reply.done(isNew, position), failed: (error) => reply.failed(error) }
}

/** The same with a result that is known already. */
export function withResult<T>(reply: Reply<T>, result: T): Reply<ChangeResult> {
  return { done: (_, position) => reply.done(result, position), failed: (error) => reply.failed(error) }
}

export interface ChangeResult {
  /** Of a declare: it was not there before. */
  readonly isNew: boolean
  /** Of an import: what was left out, and what is there in another form and was kept. */
  readonly warnings: readonly string[]
  /** Of an import: the sentence that says what cannot be imported; what stood before it has been. */
  readonly refusal: string | null
}

/** For whom a change in a vhost is made. */
export interface Actor {
  /** Of the session. */
  readonly id: number
  readonly principal: Principal
  readonly state: VhostState
  readonly rights: SessionRights
}

export type TopologyChange = VhostChange | AdminChange

/** What sessions ask for. Names have no line breaks. */
export type VhostChange =
  | { readonly kind: 'declare-exchange'; readonly by: Actor; readonly args: ExchangeArguments }
  | {
      readonly kind: 'declare-queue'
      readonly by: Actor
      /** Chosen by the node that asks where none was given: `args.name` is empty then. */
      readonly name: string
      readonly args: QueueArguments
    }
  | { readonly kind: 'bind'; readonly by: Actor; readonly to: 'queue' | 'exchange'; readonly args: BindArguments }
  /**
   * A queue, an exchange or a binding, by id: what has gone meanwhile is as good as removed. What is owed was nobody's wish
   * but is to happen, and is asked for until it has.
   */
  | { readonly kind: 'remove'; readonly id: number; readonly ifUnused: boolean; readonly isOwed: boolean }
  /** Removes the exclusive queues of a session. */
  | { readonly kind: 'close-session'; readonly session: number }

/** What administrators ask for; who may is checked before. */
export type AdminChange =
  | { readonly kind: 'create-vhost'; readonly name: string }
  | { readonly kind: 'delete-vhost'; readonly name: string }
  | { readonly kind: 'put-vhost-metadata'; readonly vhost: string; readonly properties: VhostProperties }
  | {
      readonly kind: 'put-user'
      readonly name: string
      readonly passwordHash: string
      readonly tags: readonly string[]
    }
  /** Another hash of the same password, unless the user has another password by now. */
  | { readonly kind: 'upgrade-password'; readonly name: string; readonly from: string; readonly passwordHash: string }
  | { readonly kind: 'delete-user'; readonly name: string }
  | {
      readonly kind: 'put-permission'
      readonly username: string
      readonly vhost: string
      readonly patterns: Patterns
    }
  | { readonly kind: 'clear-permission'; readonly username: string; readonly vhost: string }
  | {
      readonly kind: 'put-topic-permission'
      readonly username: string
      readonly vhost: string
      readonly permission: { readonly exchange: string; readonly write: string; readonly read: string }
    }
  | {
      readonly kind: 'clear-topic-permissions'
      readonly username: string
      readonly vhost: string
      /** Null, or left out: on all exchanges. */
      readonly exchange?: string | null
    }
  | {
      readonly kind: 'put-policy'
      readonly policyKind: PolicyKind
      readonly vhost: string
      readonly name: string
      readonly policy: GivenPolicy
    }
  | { readonly kind: 'delete-policy'; readonly policyKind: PolicyKind; readonly vhost: string; readonly name: string }
  /** `given` as `webhooks.ts` reads it. */
  | { readonly kind: 'put-webhook'; readonly vhost: string; readonly name: string; readonly given: JsonObject }
  | { readonly kind: 'delete-webhook'; readonly vhost: string; readonly name: string }
  /** Unless it goes to another address by now. */
  | {
      readonly kind: 'disable-webhook'
      readonly vhost: string
      readonly name: string
      readonly url: string
      readonly reason: string
    }
  | { readonly kind: 'put-vhost-limits'; readonly vhost: string; readonly limits: GivenLimits }
  | { readonly kind: 'clear-vhost-limits'; readonly vhost: string }
  | { readonly kind: 'put-user-limits'; readonly username: string; readonly limits: GivenLimits }
  | { readonly kind: 'clear-user-limits'; readonly username: string }
  /** `value` as in JSON. */
  | { readonly kind: 'put-global-parameter'; readonly name: string; readonly value: unknown }
  | { readonly kind: 'delete-global-parameter'; readonly name: string }
  | { readonly kind: 'import-definitions'; readonly document: unknown; readonly vhost: string }

/** Anything may stand in it, as it may in JSON. */
export type GivenLimits = Readonly<Record<string, unknown>>
