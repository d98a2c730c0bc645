/** The sentences about RabbitMQ's extensions, as tests against one broker. They wait a lot, so many run side by side. */
import { describe } from 'node:test'
import { badInput } from './bad-input.ts'
import { deadLettering } from './dead-letters.ts'
import { deathHistory } from './death-history.ts'
import { deliveryCounts } from './delivery-counts.ts'
import { expiry } from './expiry.ts'
import { limits } from './limits.ts'
import { oneKind } from './one-kind.ts'
import { priorities } from './priorities.ts'
import { type Broker, Sentences } from './sentences.ts'
import { singleActive } from './single-active.ts'

const concurrency = 8

export function extensions(broker: Broker): void {
  const sentences = new Sentences(broker, 'extensions')
  void describe('expiry of messages and queues', { concurrency }, () => expiry(sentences))
  void describe('length limits', { concurrency }, () => limits(sentences))
  void describe('dead letters', { concurrency }, () => deadLettering(sentences))
  void describe('the history of dead letters', { concurrency }, () => deathHistory(sentences))
  void describe('priorities of messages and consumers', { concurrency }, () => priorities(sentences))
  void describe('a single active consumer', { concurrency }, () => singleActive(sentences))
  void describe('delivery counts and limits', { concurrency }, () => deliveryCounts(sentences))
  void describe('one kind of queue', { concurrency }, () => oneKind(sentences))
  void describe('arguments and properties that are wrong', { concurrency }, () => badInput(sentences))
  void describe('the list of differences', () => sentences.proveTheListOfDifferences())
}
