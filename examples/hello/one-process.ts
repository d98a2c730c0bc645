/** Producer, broker and consumer as parts of one program: the same three files, without a socket. */
import { keep } from './broker.ts'
import { consume } from './consumer.ts'
import { produce } from './producer.ts'

const broker = await keep()
const client = await broker.connect()
const end = () => client.channel<number>('numbers', { capacity: 5 })
await Promise.all([produce(end()), consume(end())])
await broker.stop()
