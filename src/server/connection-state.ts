import type { Session } from '../broker/commands.ts'
import type { Handshake } from './handshake.ts'

/**
 *     handshake ──► running ──► closing ──► ending ──► closed
 *                      └──────────────────────┘
 *
 * - handshake: until `connection.open-ok`; `handshake.ts` decides.
 * - running: frames go to the channels.
 * - closing: we sent `connection.close`; all but close and close-ok is dropped (AMQP 0-9-1 §2.2.4). Until the deadline.
 * - ending: all has been said; what is written goes out, then the socket is closed. Input means nothing.
 * - closed: the socket is gone.
 */
export type ConnectionState =
  | { readonly name: 'handshake'; readonly handshake: Handshake }
  | { readonly name: 'running'; readonly session: Session }
  | { readonly name: 'closing' }
  | { readonly name: 'ending' }
  | { readonly name: 'closed' }
