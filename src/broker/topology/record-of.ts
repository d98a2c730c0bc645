import { assertNever } from '../../base/assert.ts'
import type { DeclaredQueue } from './declared-queue.ts'
import type { Definition } from './definitions.ts'
import type { DefinitionRecord, QueueRecord } from './records.ts'
import { webhookRecord } from './webhook.ts'

/** The record that says all of a definition: applied to an empty topology that has what it needs, it makes the same. */
export function recordOf(definition: Definition): DefinitionRecord {
  switch (definition.kind) {
    case 'term':
      return { kind: 'term', id: definition.id, term: definition.term }
    case 'vhost':
      return { kind: 'vhost', id: definition.id, name: definition.name }
    case 'exchange': {
      const { kind, id, home, name, type, isDurable, isAutoDelete, isInternal } = definition
      return {
        kind,
        id,
        vhost: home.id,
        name,
        type,
        isDurable,
        isAutoDelete,
        isInternal,
        arguments: definition.arguments,
      }
    }
    case 'queue':
      return recordOfQueue(definition)
    case 'binding': {
      const { kind, id, source, destination, key } = definition
      return { kind, id, source: source.id, destination: destination.id, key, arguments: definition.arguments }
    }
    case 'user': {
      const { kind, id, name, passwordHash, tags } = definition
      return { kind, id, name, passwordHash, tags }
    }
    case 'permission': {
      const { kind, id, vhost, user, configure, write, read } = definition
      return { kind, id, vhost, user, configure: configure.text, write: write.text, read: read.text }
    }
    case 'topic-permission': {
      const { kind, id, vhost, user, exchange, writeText, readText } = definition
      return { kind, id, vhost, user, exchange, write: writeText, read: readText }
    }
    case 'policy':
    case 'operator-policy': {
      const { kind, id, home, name, pattern, applyTo, priority, values } = definition
      return { kind, id, vhost: home.id, name, pattern, applyTo, priority, definition: Object.fromEntries(values) }
    }
    case 'vhost-limits': {
      const { kind, id, vhost, maxConnections, maxQueues } = definition
      return { kind, id, vhost, maxConnections, maxQueues }
    }
    case 'vhost-metadata': {
      const { kind, id, vhost, description, tags, defaultQueueType } = definition
      return { kind, id, vhost, description, tags, defaultQueueType }
    }
    case 'user-limits': {
      const { kind, id, user, maxConnections, maxChannels } = definition
      return { kind, id, user, maxConnections, maxChannels }
    }
    case 'webhook':
      return webhookRecord(definition.id, definition.home.id, definition)
    case 'node':
      return { kind: 'node', id: definition.id, incarnation: definition.incarnation, name: definition.name }
    case 'global-parameter':
      return { kind: 'global-parameter', id: definition.id, name: definition.name, json: definition.json }
    default:
      return assertNever(definition)
  }
}

function recordOfQueue(queue: DeclaredQueue): QueueRecord {
  const { kind, id, home, name, isDurable, isAutoDelete, exclusiveOwner, arguments: table, shardId } = queue
  const flags = { isDurable, isAutoDelete, exclusiveOwner }
  const record: QueueRecord = { kind, id, vhost: home.id, name, ...flags, arguments: table }
  return shardId === 0 ? record : { ...record, shardId }
}
