import type { Command } from 'commander'
import type { MessageProperties, Table, TableValue } from '../../client/driver/properties.ts'
import { misuse } from './command-failure.ts'
import { milliseconds, repeated, wholeNumber } from './numbers.ts'
import { typedTable, typedValueHelp } from './typed-value.ts'

/** The properties of a message as `warren publish` takes them. */
export interface PropertyFlags {
  readonly persistent?: boolean
  readonly transient?: boolean
  readonly header?: readonly string[]
  readonly contentType?: string
  readonly contentEncoding?: string
  readonly priority?: number
  readonly expiration?: number
  readonly correlationId?: string
  readonly replyTo?: string
  readonly messageId?: string
  readonly timestamp?: string
  readonly type?: string
  readonly userId?: string
  readonly appId?: string
  readonly delay?: number
  readonly at?: string
  readonly group?: string
  readonly dedup?: string
}

export function addPropertyOptions(command: Command): Command {
  return command
    .option('--persistent', 'kept over a restart of the broker, in a durable queue (the default)')
    .option('--transient', 'not kept over a restart')
    .option('--header <name=value>', `a header; may be repeated. ${typedValueHelp}`, repeated)
    .option('--content-type <type>', 'for example application/json')
    .option('--content-encoding <name>', 'for example gzip; nothing is encoded here')
    .option('--priority <number>', 'for queues with x-max-priority', wholeNumber(0, 255))
    .option('--expiration <time>', "how long it may wait: milliseconds, or '90s', '2h'", milliseconds)
    .option('--correlation-id <id>', 'of a request, for its reply')
    .option('--reply-to <queue>', 'where a reply should go')
    .option('--message-id <id>', 'an id of your own')
    .option('--timestamp <moment>', "'now', seconds since 1970, or a date of ISO 8601")
    .option('--type <name>', 'an application’s name for the kind of message')
    .option('--user-id <name>', 'the user of the connection, which the broker checks')
    .option('--app-id <name>', 'of the publishing application')
    .option('--delay <time>', "Warren: not before so long, '500ms', '2h' (header x-delay)", milliseconds)
    .option('--at <moment>', 'Warren: not before a date of ISO 8601 (header x-deliver-at)')
    .option('--group <key>', 'Warren: in order with others of its key (header x-group)')
    .option('--dedup <id>', 'Warren: dropped when the id was seen (header x-deduplication-header)')
}

/** Throws `CommandFailure`. `now` is milliseconds since 1970. */
export function propertiesOf(flags: PropertyFlags, now: number): MessageProperties {
  if (flags.persistent === true && flags.transient === true) {
    throw misuse('--persistent and --transient exclude each other; give one')
  }
  if (flags.delay !== undefined && flags.at !== undefined) throw misuse('--delay and --at exclude each other; give one')
  const headers = headersOf(flags)
  return {
    deliveryMode: flags.transient === true ? 1 : 2,
    contentType: flags.contentType,
    contentEncoding: flags.contentEncoding,
    priority: flags.priority,
    expiration: flags.expiration === undefined ? undefined : String(flags.expiration),
    correlationId: flags.correlationId,
    replyTo: flags.replyTo,
    messageId: flags.messageId,
    timestamp: flags.timestamp === undefined ? undefined : moment('--timestamp', flags.timestamp, now),
    type: flags.type,
    userId: flags.userId,
    appId: flags.appId,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
  }
}

function headersOf(flags: PropertyFlags): Table {
  const headers: Record<string, TableValue> = { ...typedTable('--header', flags.header ?? []) }
  if (flags.delay !== undefined) headers['x-delay'] = flags.delay
  if (flags.at !== undefined) headers['x-deliver-at'] = moment('--at', flags.at, 0).getTime()
  if (flags.group !== undefined) headers['x-group'] = flags.group
  if (flags.dedup !== undefined) headers['x-deduplication-header'] = flags.dedup
  return headers
}

function moment(option: string, text: string, now: number): Date {
  if (text === 'now' && now > 0) return new Date(now)
  const date = /^\d+$/.test(text) ? new Date(Number(text) * 1000) : new Date(text)
  if (!Number.isNaN(date.getTime())) return date
  throw misuse(`${option} '${text}' is no moment; write it like 2030-01-31T09:00:00Z, or in seconds since 1970`)
}
