import { assertNever } from '../base/assert.ts'
import type { Position } from '../log/log.ts'
import { isPasswordHash } from './access/password-hash.ts'
import { Pattern } from './access/pattern.ts'
import type { User } from './access/user.ts'
import { BrokerError } from './errors.ts'
import { deleteGlobalParameter, putGlobalParameter } from './global-parameters.ts'
import { checkedLimits, userLimitNames, vhostLimitNames } from './limits.ts'
import { deletePolicy, putPolicy } from './policies.ts'
import { checkNameForm } from './topology/names.ts'
import type { Patterns, Topology } from './topology/topology.ts'
import type { VhostState } from './topology/vhost-state.ts'
import type { AdminChange, GivenLimits } from './topology-authority.ts'
import { deleteWebhook, disableWebhook, putWebhook } from './webhooks.ts'

/** What administrators change at once; that which takes long is in `changes.ts`. */
export type PromptAdminChange = Exclude<AdminChange, { kind: 'delete-vhost' | 'import-definitions' }>

/**
 * Vhosts, users, rights, policies, webhooks, limits and global parameters, made and unmade where the topology is written.
 * Who may is checked by whoever asks. The result is what must be settled before anyone is told; what does not fit throws a `BrokerError`.
 */
export class Administration {
  readonly #topology: Topology

  constructor(topology: Topology) {
    this.#topology = topology
  }

  execute(change: PromptAdminChange): Position {
    switch (change.kind) {
      case 'create-vhost':
        return this.#createVhost(change.name)
      case 'put-vhost-metadata':
        return this.#topology.putVhostMetadata(this.vhost(change.vhost), change.properties)
      case 'put-user':
        return this.#putUser(change.name, change.passwordHash, change.tags)
      case 'upgrade-password':
        return this.#upgradePassword(change.name, change.from, change.passwordHash)
      case 'delete-user':
        return this.#topology.removeUser(this.#user(change.name))
      case 'put-permission':
        return this.#putPermission(change.username, change.vhost, change.patterns)
      case 'clear-permission':
        return this.#clearPermission(change.username, change.vhost)
      case 'put-topic-permission':
        return this.#putTopicPermission(change.username, change.vhost, change.permission)
      case 'clear-topic-permissions':
        return this.#clearTopicPermissions(change.username, change.vhost, change.exchange ?? null)
      case 'put-policy':
        return putPolicy(this.#topology, change.policyKind, this.#place(change), change.policy)
      case 'delete-policy':
        return deletePolicy(this.#topology, change.policyKind, this.#place(change))
      case 'put-webhook':
        return putWebhook(this.#topology, this.#place(change), change.given)
      case 'delete-webhook':
        return deleteWebhook(this.#topology, this.#place(change))
      case 'disable-webhook':
        return disableWebhook(this.#topology, this.#place(change), change)
      case 'put-vhost-limits':
        return this.#putVhostLimits(change.vhost, change.limits)
      case 'clear-vhost-limits':
        return this.#removeRow(this.vhost(change.vhost).limits)
      case 'put-user-limits':
        return this.#putUserLimits(change.username, change.limits)
      case 'clear-user-limits':
        return this.#removeRow(this.#user(change.username).limits)
      case 'put-global-parameter':
        return putGlobalParameter(this.#topology, change.name, change.value)
      case 'delete-global-parameter':
        return deleteGlobalParameter(this.#topology, change.name)
      default:
        return assertNever(change)
    }
  }

  /** Throws `not-found`. */
  vhost(name: string): VhostState {
    const state = this.#topology.vhosts.get(name)
    if (state === undefined || state.isClosed) throw new BrokerError('not-found', `no vhost '${name}'`)
    return state
  }

  #user(name: string): User {
    const user = this.#topology.users.get(name)
    if (user === undefined) throw new BrokerError('not-found', `no user '${name}'`)
    return user
  }

  #rowOf(username: string, vhost: string): VhostState {
    const state = this.vhost(vhost)
    this.#user(username)
    return state
  }

  #place({ vhost, name }: { vhost: string; name: string }): { vhost: VhostState; name: string } {
    return { vhost: this.vhost(vhost), name }
  }

  #createVhost(name: string): Position {
    checkNameForm('vhost', name)
    const known = this.#topology.vhosts.get(name)
    if (known !== undefined) return this.#topology.pendingOf(known)
    return this.#topology.declareVhost(name).stored?.position ?? 0
  }

  #putUser(name: string, passwordHash: string, tags: readonly string[]): Position {
    checkNameForm('user', name)
    if (!isPasswordHash(passwordHash)) {
      throw new BrokerError('precondition-failed', `the password hash of user '${name}' cannot be read`)
    }
    return this.#topology.putUser(name, passwordHash, tags)
  }

  #upgradePassword(name: string, from: string, passwordHash: string): Position {
    const user = this.#topology.users.get(name)
    if (user?.passwordHash !== from) return this.#topology.pending
    return this.#topology.upgradePassword(user, passwordHash)
  }

  #putPermission(username: string, vhost: string, patterns: Patterns): Position {
    for (const right of ['configure', 'write', 'read'] as const) checkPattern(right, patterns[right])
    const state = this.#rowOf(username, vhost)
    return this.#topology.putPermission(username, state, patterns)
  }

  #clearPermission(username: string, vhost: string): Position {
    const permission = this.#rowOf(username, vhost).permissions.get(username)
    return permission === undefined ? this.#topology.pending : this.#topology.removePermission(permission)
  }

  #putTopicPermission(
    username: string,
    vhost: string,
    permission: { exchange: string; write: string; read: string },
  ): Position {
    for (const right of ['write', 'read'] as const) checkPattern(right, permission[right])
    return this.#topology.putTopicPermission(username, this.#rowOf(username, vhost), permission)
  }

  #clearTopicPermissions(username: string, vhost: string, exchange: string | null): Position {
    const { topicPermissions } = this.#rowOf(username, vhost)
    const theirs = [...topicPermissions.values()].filter(
      (permission) => permission.username === username && (exchange === null || permission.exchange === exchange),
    )
    let position = this.#topology.pending
    for (const permission of theirs) position = this.#topology.removePermission(permission)
    return position
  }

  #putVhostLimits(vhost: string, limits: GivenLimits): Position {
    const checked = checkedLimits(vhostLimitNames, limits)
    const [maxConnections, maxQueues] = [checked['max-connections'], checked['max-queues']]
    const state = this.vhost(vhost)
    if (maxConnections === null && maxQueues === null) return this.#removeRow(state.limits)
    return this.#topology.putVhostLimits(state, { maxConnections, maxQueues })
  }

  #putUserLimits(username: string, limits: GivenLimits): Position {
    const checked = checkedLimits(userLimitNames, limits)
    const [maxConnections, maxChannels] = [checked['max-connections'], checked['max-channels']]
    const user = this.#user(username)
    if (maxConnections === null && maxChannels === null) return this.#removeRow(user.limits)
    return this.#topology.putUserLimits(user, { maxConnections, maxChannels })
  }

  #removeRow(row: { readonly id: number } | null): Position {
    return row === null ? this.#topology.pending : this.#topology.removeRow(row)
  }
}

function checkPattern(right: string, text: string): void {
  const { error } = new Pattern(text)
  if (error !== null) throw new BrokerError('precondition-failed', `the ${right} pattern '${text}' ${error}`)
}
