/**
 * AMQP 0-9-1 as clients see it, sentence by sentence, against a real broker process and by a codec of the tests' own.
 * `WARREN_TEST_URL=amqp://…` runs the same sentences against another broker: so the tests themselves were checked.
 */
import { after } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { protocol } from './protocol/protocol.ts'

const broker = await BrokerProcess.start()
after(() => broker.stop())
protocol(broker)
