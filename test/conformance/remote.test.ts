/**
 * What clients see does not depend on which node has their queues: the same sentences and libraries, with all commands,
 * answers and deliveries of the shard on a link between two nodes (`cluster/placed-shard`).
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

const broker = await BrokerProcess.start({ program: 'remote-broker.js' })
after(() => broker.stop())
void describe('with a shard on another node', () => {
  protocol(broker, { timed: 'left-out' })
  extensions(broker)
  void describe('own features', { concurrency: 16, skip: broker.isExternal }, () => {
    const sentences = new Sentences(broker)
    for (const prove of [delays, retries, deduplication]) prove(sentences)
  })
  nodeClients(broker.url)
})
