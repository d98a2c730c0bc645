import { topicRow } from '../access/authorise.ts'
import { Permission, TopicPermission } from '../access/permission.ts'
import { User, type UserLimits } from '../access/user.ts'
import type { PermissionRecord, TopicPermissionRecord, UserLimitsRecord, UserRecord } from './records.ts'
import type { VhostState } from './vhost-state.ts'

/** Users, their rights and limits, as the records say. Part of `Definitions`, which knows what has which id. */
export class AccessDefinitions {
  readonly users = new Map<string, User>()
  readonly #ids: Ids

  constructor(ids: Ids) {
    this.#ids = ids
  }

  makeUser(record: UserRecord): User {
    const user = new User(record.id, record.name, record.passwordHash, record.tags)
    this.users.set(user.name, user)
    return user
  }

  makeLimits(record: UserLimitsRecord): UserLimits {
    const { kind, id, user, maxConnections, maxChannels } = record
    const limits: UserLimits = { kind, id, user, maxConnections, maxChannels, stored: null }
    this.#ids.user(user).limits = limits
    return limits
  }

  makePermission(record: PermissionRecord): Permission {
    const vhost = this.#ids.vhost(record.vhost)
    const user = this.#ids.user(record.user)
    const permission = new Permission({ ...record, username: user.name }, record)
    vhost.permissions.set(user.name, permission)
    user.permissions.add(permission.id)
    rightsChanged(vhost)
    return permission
  }

  makeTopicPermission(record: TopicPermissionRecord): TopicPermission {
    const vhost = this.#ids.vhost(record.vhost)
    const user = this.#ids.user(record.user)
    const permission = new TopicPermission({ ...record, username: user.name }, record)
    vhost.topicPermissions.set(topicRow(user.name, record.exchange), permission)
    user.permissions.add(permission.id)
    rightsChanged(vhost)
    return permission
  }

  /** What was the user's own has gone before. */
  removeUser(user: User): void {
    this.users.delete(user.name)
  }

  removeLimits(limits: UserLimits): void {
    this.#ids.user(limits.user).limits = null
  }

  removePermission(permission: Permission): void {
    const vhost = this.#ids.vhost(permission.vhost)
    vhost.permissions.delete(permission.username)
    this.#leave(permission, vhost)
  }

  removeTopicPermission(permission: TopicPermission): void {
    const vhost = this.#ids.vhost(permission.vhost)
    vhost.topicPermissions.delete(topicRow(permission.username, permission.exchange))
    this.#leave(permission, vhost)
  }

  #leave(permission: Permission | TopicPermission, vhost: VhostState): void {
    this.users.get(permission.username)?.permissions.delete(permission.id)
    rightsChanged(vhost)
  }
}

/** What a record refers to; it exists. */
interface Ids {
  vhost(id: number): VhostState
  user(id: number): User
}

function rightsChanged(vhost: VhostState): void {
  vhost.permissionEpoch++
  vhost.version++
}
