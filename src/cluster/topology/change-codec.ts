/** Changes and their answers as JSON between nodes of one version. Argument tables are base64 of their bytes on the wire. */
import { decodeFieldTable, type FieldTable } from '../../amqp/field-table.ts'
import { SessionRights } from '../../broker/access/authorise.ts'
import { BrokerError, type BrokerErrorKind } from '../../broker/errors.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import type { Actor, ChangeResult, TopologyChange } from '../../broker/topology-authority.ts'
import type { Position } from '../../log/log.ts'

export function encodeChange(change: TopologyChange): Uint8Array {
  if (!('by' in change)) return jsonBytes(change)
  const { by, args, ...rest } = change
  const { id, principal, state } = by
  const actor: WireActor = { id, principal, vhost: state.name }
  return jsonBytes({ ...rest, by: actor, args: { ...args, arguments: textOf(args.arguments) } })
}

/**
 * The change as it is to be made here: for the same session, with the rights that its user has here. Throws `not-allowed`
 * when there is no such vhost, as if it had been asked for here.
 */
export function decodeChange(bytes: Uint8Array, topology: Topology): TopologyChange {
  const fields = JSON.parse(textIn(bytes)) as Record<string, unknown>
  if (!('by' in fields)) return fields as TopologyChange
  const args = fields['args'] as Record<string, unknown>
  const table = tableIn(String(args['arguments']))
  const by = actorOf(fields['by'] as WireActor, topology)
  return { ...fields, by, args: { ...args, arguments: table } } as unknown as TopologyChange
}

/** A session as other nodes name it. */
type WireActor = Pick<Actor, 'id' | 'principal'> & { readonly vhost: string }

function actorOf({ id, principal, vhost }: WireActor, topology: Topology): Actor {
  const state = topology.vhosts.get(vhost)
  if (state === undefined) throw new BrokerError('not-allowed', `vhost ${vhost} not found`)
  return { id, principal, state, rights: new SessionRights(principal, state) }
}

/** `repeat`: it was not done; ask whoever is the owner then. */
export type Answer =
  | { readonly kind: 'done'; readonly result: ChangeResult; readonly position: Position }
  | { readonly kind: 'failed'; readonly error: BrokerErrorKind; readonly text: string }
  | { readonly kind: 'repeat' }

export function encodeAnswer(answer: Answer): Uint8Array {
  return jsonBytes(answer)
}

export function decodeAnswer(bytes: Uint8Array): Answer {
  return JSON.parse(textIn(bytes)) as Answer
}

function textOf({ bytes }: FieldTable): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function tableIn(text: string): FieldTable {
  const bytes = Buffer.from(text, 'base64')
  return decodeFieldTable(bytes, 0, bytes.length)
}

function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

function textIn(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}
