/** The same sentences as over TCP, on a connection inside the process to a broker in memory. */
import type { Duplex } from 'node:stream'
import { after } from 'node:test'
import { Broker } from '../../src/index.ts'
import { protocol } from './protocol/protocol.ts'

const broker = await Broker.start({ storage: 'memory' })
after(() => broker.stop({ drainMs: 100 }))
const open = async (): Promise<Duplex> => broker.openStream()
protocol(
  { host: 'in-process', port: 0, user: 'guest', password: 'guest', isExternal: false, open },
  { timed: 'left-out' },
)
