/**
 * What clients see does not depend on where queues live: the same sentences and libraries, with a shard whose answers,
 * confirms and deliveries all come some turns later (design: every shard operation is a command answered through a sink).
 */
import { after, describe } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { nodeClients } from './clients/behaviours.ts'
import { deduplication } from './own/deduplication.ts'
import { delays } from './own/delay.ts'
import { retries } from './own/retry.ts'
import { extensions } from './protocol/extensions.ts'
import { protocol } from './protocol/protocol.ts'
import { Sentences } from './protocol/sentences.ts'

const broker = await BrokerProcess.start({ program: 'delayed-broker.js' })
after(() => broker.stop())
void describe('with a shard that answers late', () => {
  protocol(broker, { timed: 'left-out' })
  extensions(broker)
  void describe('own features', { concurrency: 16, skip: broker.isExternal }, () => {
    const sentences = new Sentences(broker)
    for (const prove of [delays, retries, deduplication]) prove(sentences)
  })
  nodeClients(broker.url)
})
