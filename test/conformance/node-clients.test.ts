/** The client libraries that Node programs use, against a real broker process. */
import { after } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { nodeClients } from './clients/behaviours.ts'

const broker = await BrokerProcess.start()
after(() => broker.stop())
nodeClients(broker.url)
