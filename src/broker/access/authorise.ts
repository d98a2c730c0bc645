import type { Principal } from '../commands.ts'
import { BrokerError } from '../errors.ts'
import type { Permission, Right, TopicPermission } from './permission.ts'

/**
 * Who may do what: the one place that decides. Every operation asks here before it does anything else, with the names
 * it is going to use; nothing is allowed that is not asked for.
 *
 * The default exchange is asked for as `amq.default`, as in RabbitMQ's access control.
 */
export function authorise(
  principal: Principal,
  vhost: Permissions,
  right: Right,
  kind: ResourceKind,
  name: string,
): void {
  if (isAllowed(principal, vhost, right, kind, name)) return
  const shown = resourceName(kind, name)
  throw refused(
    `${right} access to ${kind} '${shown}' in vhost '${vhost.name}' refused for user '${principal.username}'`,
  )
}

export function isAllowed(
  principal: Principal,
  vhost: Permissions,
  right: Right,
  kind: ResourceKind,
  name: string,
): boolean {
  const { token, username } = principal
  if (token !== undefined) return token.allows(right, vhost.name, resourceName(kind, name))
  return vhost.permissions.get(username)?.[right].matches(resourceName(kind, name)) ?? false
}

/** Whether somebody may open a vhost at all. */
export function mayEnter({ token, username }: Principal, vhost: Pick<Permissions, 'name' | 'permissions'>): boolean {
  return token === undefined ? vhost.permissions.has(username) : token.mayEnter(vhost.name)
}

/** The further right on a routing or binding key of a topic exchange. Where no row names the exchange it is given. */
export function authoriseTopic(
  principal: Principal,
  vhost: Permissions,
  right: 'write' | 'read',
  exchange: string,
  key: string,
): void {
  if (isTopicAllowed(principal, vhost, right, exchange, key)) return
  throw refused(
    `${right} access to topic '${key}' in exchange '${exchange}' in vhost '${vhost.name}' refused for user '${principal.username}'`,
  )
}

function isTopicAllowed(
  { token, username }: Principal,
  vhost: Permissions,
  right: 'write' | 'read',
  exchange: string,
  key: string,
): boolean {
  if (token !== undefined) return token.allowsTopic(right, vhost.name, exchange, key)
  return vhost.topicPermissions.get(topicRow(username, exchange))?.allows(right, key, vhost.name) ?? true
}

export type ResourceKind = 'queue' | 'exchange'

/** What a vhost shows of its users' rights. */
export interface Permissions {
  readonly name: string
  /** By user name. */
  readonly permissions: ReadonlyMap<string, Permission>
  /** By `topicRow`. */
  readonly topicPermissions: ReadonlyMap<string, TopicPermission>
  /** Changes whenever any of these does. */
  readonly permissionEpoch: number
}

export function topicRow(username: string, exchange: string): string {
  return JSON.stringify([username, exchange])
}

function resourceName(kind: ResourceKind, name: string): string {
  return kind === 'exchange' && name === '' ? 'amq.default' : name
}

function refused(text: string): BrokerError {
  return new BrokerError('access-refused', text)
}

/**
 * The rights of one session, remembered under the vhost's permission epoch: a change bites at the next operation.
 * Bounded; when it is full it starts anew.
 */
export class SessionRights {
  #principal: Principal
  readonly #vhost: Permissions
  readonly #allowed = new Set<string>()
  #epoch: number

  constructor(principal: Principal, vhost: Permissions) {
    this.#principal = principal
    this.#vhost = vhost
    this.#epoch = vhost.permissionEpoch
  }

  get principal(): Principal {
    return this.#principal
  }

  /** The same user with other rights: nothing that was remembered counts any more. */
  renew(principal: Principal): void {
    this.#principal = principal
    this.#allowed.clear()
  }

  authorise(right: Right, kind: ResourceKind, name: string): void {
    this.#forgetOutdated()
    const question = right + kind + name // no name can be taken for another: the first two are of a fixed set
    if (this.#allowed.has(question)) return
    authorise(this.#principal, this.#vhost, right, kind, name)
    this.#remember(question)
  }

  /** For a passive declare. `configure` is asked for last, so that a refusal reads as that of a declare. */
  authoriseAny(kind: ResourceKind, name: string): void {
    if (isAllowed(this.#principal, this.#vhost, 'read', kind, name)) return
    if (isAllowed(this.#principal, this.#vhost, 'write', kind, name)) return
    authorise(this.#principal, this.#vhost, 'configure', kind, name)
  }

  authoriseTopic(right: 'write' | 'read', exchange: string, key: string): void {
    authoriseTopic(this.#principal, this.#vhost, right, exchange, key)
  }

  #forgetOutdated(): void {
    if (this.#epoch === this.#vhost.permissionEpoch) return
    this.#epoch = this.#vhost.permissionEpoch
    this.#allowed.clear()
  }

  #remember(question: string): void {
    if (this.#allowed.size >= rememberedMax) this.#allowed.clear()
    this.#allowed.add(question)
  }
}

/** Answers a session remembers. */
const rememberedMax = 256
