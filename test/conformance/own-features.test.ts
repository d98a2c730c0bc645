/**
 * Warren's own features, as docs/delay.md, retry.md, groups.md, deduplication.md and lease.md promise them: one test for
 * each sentence, against one broker, many of them side by side since they wait a lot.
 */
import { after, describe } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { deduplication } from './own/deduplication.ts'
import { delays } from './own/delay.ts'
import { groups } from './own/groups.ts'
import { leases } from './own/lease.ts'
import { retries } from './own/retry.ts'
import { Sentences } from './protocol/sentences.ts'

const concurrency = 16
const broker = await BrokerProcess.start()
after(() => broker.stop())

void describe('own features', { skip: broker.isExternal }, () => {
  const sentences = new Sentences(broker)
  void describe('delay', { concurrency }, () => delays(sentences))
  void describe('retry', { concurrency }, () => retries(sentences))
  void describe('groups', { concurrency }, () => groups(sentences))
  void describe('deduplication', { concurrency }, () => deduplication(sentences))
  void describe('lease', { concurrency }, () => leases(sentences))
})
