/**
 * RabbitMQ's extensions to AMQP 0-9-1 that decide about messages: expiry, limits, dead-lettering, priorities, a single
 * active consumer, delivery counts. As `protocol.test.ts`, with a broker of its own.
 */
import { after } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { extensions } from './protocol/extensions.ts'

const broker = await BrokerProcess.start()
after(() => broker.stop())
extensions(broker)
