/** The sentences about the protocol, as tests against one broker. */
import { describe } from 'node:test'
import { consuming } from './consuming.ts'
import { contentAndChannels } from './content.ts'
import { errors } from './errors.ts'
import { handshake } from './handshake.ts'
import { publishing } from './publishing.ts'
import { races } from './races.ts'
import { routing } from './routing.ts'
import { routingExtras } from './routing-extras.ts'
import { type Broker, Sentences } from './sentences.ts'
import { topology } from './topology.ts'
import { waiting } from './waiting.ts'

/** `timed: 'left-out'` leaves out what only waits for sockets to fall silent: it takes real time and touches no queue. */
export function protocol(broker: Broker, { timed = 'proved' }: { timed?: 'proved' | 'left-out' } = {}): void {
  const sentences = new Sentences(broker)
  void describe('handshake, frames and negotiation', () => handshake(sentences))
  void describe('content, field values and channels', () => contentAndChannels(sentences))
  void describe('errors', () => errors(sentences))
  void describe('declarations, names and lifetimes', () => topology(sentences))
  void describe('routing', () => routing(sentences))
  void describe('more keys, direct replies and the order of checks', () => routingExtras(sentences))
  void describe('publishes, confirms and transactions', () => publishing(sentences))
  void describe('deliveries, acknowledgements and credit', () => consuming(sentences))
  void describe('what crosses on the way', () => races(sentences))
  if (timed === 'proved') void describe('time', { concurrency: true }, () => waiting(sentences))
  void describe('the list of differences', () => sentences.proveTheListOfDifferences())
}
