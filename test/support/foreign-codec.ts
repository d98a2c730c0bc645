/** Another codec for the same wire, to compare with: amqplib's, of which no types are published. */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const load = createRequire(import.meta.url)
const folder = join(dirname(load.resolve('amqplib')), 'lib')

/** Methods and properties; frames come out whole. */
export const foreignMethods = load(join(folder, 'defs.js')) as {
  encodeMethod(id: number, channel: number, fields: object): Buffer
  encodeProperties(classId: number, channel: number, size: number, fields: object): Buffer
  info(id: number): { args: { name: string; type: string }[] }
}

/** Tables, with their length before them; returns how many bytes were written. */
export const foreignTables = load(join(folder, 'codec.js')) as {
  encodeTable(buffer: Buffer, values: object, offset: number): number
}
