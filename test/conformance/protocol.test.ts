/**
 * AMQP 0-9-1 as clients see it, sentence by sentence, against a real broker process and by a codec of the tests' own.
 * `WARREN_TEST_URL=amqp://…` runs the same sentences against another broker: so the tests themselves were checked.
 */
import { after, describe } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { consuming } from './protocol/consuming.ts'
import { contentAndChannels } from './protocol/content.ts'
import { errors } from './protocol/errors.ts'
import { handshake } from './protocol/handshake.ts'
import { publishing } from './protocol/publishing.ts'
import { routing } from './protocol/routing.ts'
import { Sentences } from './protocol/sentences.ts'
import { topology } from './protocol/topology.ts'
import { waiting } from './protocol/waiting.ts'

const broker = await BrokerProcess.start()
after(() => broker.stop())
const sentences = new Sentences(broker)

void describe('handshake, frames and negotiation', () => handshake(sentences))
void describe('content, field values and channels', () => contentAndChannels(sentences))
void describe('errors', () => errors(sentences))
void describe('declarations, names and lifetimes', () => topology(sentences))
void describe('routing', () => routing(sentences))
void describe('publishes, confirms and transactions', () => publishing(sentences))
void describe('deliveries, acknowledgements and credit', () => consuming(sentences))
void describe('time', { concurrency: true }, () => waiting(sentences))
void describe('the list of differences', () => sentences.proveTheListOfDifferences())
