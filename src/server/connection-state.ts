import type { Session } from '../broker/commands.ts'
import type { Handshake } from './handshake.ts'

/**
 *     handshake ──► running ──► closing ──► ending ──► closed
 *                      └──────────────────────┘
 *
 * - handshake: until `connection.open-ok`; `handshake.ts` decides.
 * - running: frames go to the channels.
 * - closing: we sent `connection.close`; all but close and close-ok is dropped (AMQP 0-9-1 §2.2.4). Until the deadline.
 * - ending: close-ok goes out when all that the peer held is gone, also to one that has ended its side of the socket and
 *   waits for ours. When all has been said and what is written is out, the socket is closed. Input means nothing.
 * - closed: the socket is gone.
 */
export type ConnectionState =
  | { readonly name: 'handshake'; readonly handshake: Handshake }
  | { readonly name: 'running'; readonly session: Session }
  | { readonly name: 'closing' }
  | { readonly name: 'ending'; readonly isAllSaid: boolean }
  | { readonly name: 'closed' }
